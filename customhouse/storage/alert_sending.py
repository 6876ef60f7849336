"""Alerts as the sender sees them: those of all organizations that are due, and how far each has come.

At least once: what is taken and not settled (a crash in between) is due again after the lease. A place that has been
reached is remembered, so that a retry tells only the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Interval, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from customhouse.contracts.alerts import AlertKind
from customhouse.contracts.governance import Severity
from customhouse.storage.engine import in_transaction


@dataclass(frozen=True, slots=True)
class DueAlert:
    """An alert that one sender has taken. Nobody else takes it for the length of the lease."""

    id: UUID
    organization_id: UUID
    organization: str
    """Its name."""
    kind: AlertKind
    severity: Severity
    title: str
    text: str
    subject: str | None
    invocation_id: UUID | None
    count: int
    first_seen: datetime
    age: timedelta
    """Since its latest repeat."""
    attempts: int
    """This one included."""
    delivered_to: tuple[str, ...]
    """Fingerprints of the places that have it."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What came of one try."""

    delivered_to: tuple[str, ...]
    error: str | None = None
    retry_in: timedelta | None = None
    """None where nothing is left to be sent."""

    @property
    def notified(self) -> bool:
        return self.retry_in is None and self.error is None and bool(self.delivered_to)


class AlertSending:
    """Takes due alerts, and settles them."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def take(self, *, limit: int, lease: timedelta) -> list[DueAlert]:
        """The longest due first, of all organizations: for the sender; no key reaches it."""

        async def work(connection: AsyncConnection) -> list[DueAlert]:
            rows = await connection.execute(_TAKE, {"limit": limit, "lease": lease})
            return [
                DueAlert(
                    **{
                        **row._asdict(),
                        "kind": AlertKind(row.kind),
                        "severity": Severity(row.severity),
                        "delivered_to": tuple(row.delivered_to),
                    }
                )
                for row in rows
            ]

        return await in_transaction(self._engine, work)

    async def settle(self, alert: DueAlert, settlement: Settlement) -> None:
        """Nothing happens where the alert has become severer meanwhile, and so is due anew, or was taken by another."""

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(
                _SETTLE,
                {
                    "id": alert.id,
                    "organization_id": alert.organization_id,
                    "severity": alert.severity,
                    "attempts": alert.attempts,
                    "delivered_to": list(settlement.delivered_to),
                    "error": settlement.error,
                    "retry_in": settlement.retry_in,
                    "notified": settlement.notified,
                },
            )

        await in_transaction(self._engine, work)


_TAKE = text(
    """
    WITH due AS (
        SELECT id FROM alerts WHERE notify_after <= now() ORDER BY notify_after LIMIT :limit FOR UPDATE SKIP LOCKED
    ), taken AS (
        UPDATE alerts SET notify_after = now() + :lease, notify_attempts = notify_attempts + 1
        WHERE id IN (SELECT id FROM due)
        RETURNING *
    )
    SELECT a.id, a.organization_id, o.name AS organization, a.kind, a.severity, a.title, a.text, a.subject,
        a.invocation_id, a.count, a.first_seen, now() - a.last_seen AS age, a.notify_attempts AS attempts,
        a.delivered_to
    FROM taken a JOIN organizations o ON o.id = a.organization_id
    ORDER BY a.first_seen
    """
).bindparams(bindparam("lease", type_=Interval))

_SETTLE = text(
    """
    UPDATE alerts SET delivered_to = :delivered_to, notify_error = :error, notify_after = now() + :retry_in,
        notified_at = CASE WHEN :notified THEN now() END
    WHERE id = :id AND organization_id = :organization_id AND severity = :severity AND notify_attempts = :attempts
        AND notify_after IS NOT NULL
    """
).bindparams(bindparam("delivered_to", type_=JSONB), bindparam("retry_in", type_=Interval))
