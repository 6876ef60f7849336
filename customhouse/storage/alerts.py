"""Alerts: raised, listed, acknowledged and closed. `alert_sending.py` has what the sender reads and writes."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, Row, bindparam, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from customhouse.contracts.alerts import Alert, AlertKind, AlertStatus
from customhouse.contracts.chat import Json
from customhouse.contracts.errors import Conflict, NotFound
from customhouse.contracts.governance import Severity
from customhouse.storage import audit
from customhouse.storage.engine import in_transaction, reader
from customhouse.storage.ids import new_id
from customhouse.storage.models import AlertRow
from customhouse.storage.pages import Moment, Page, PageRequest, Term


class AlertFilter(BaseModel):
    """What a list is narrowed to. Every field that is set must match."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: AlertKind | None = None
    severity: Severity | None = None
    status: AlertStatus | None = None
    subject: Term | None = None
    created_from: Moment | None = None
    """Of the first one. Inclusive."""
    created_to: Moment | None = None
    """Exclusive."""

    def conditions(self) -> list[ColumnElement[bool]]:
        asked = self.model_dump(exclude_none=True, exclude={"created_from", "created_to"})
        conditions: list[ColumnElement[bool]] = [getattr(AlertRow, name) == value for name, value in asked.items()]
        if self.created_from is not None:
            conditions.append(AlertRow.first_seen >= self.created_from)
        if self.created_to is not None:
            conditions.append(AlertRow.first_seen < self.created_to)
        return conditions


class AlertRecord(BaseModel):
    """One alert with its repeats."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    kind: AlertKind
    severity: Severity
    """The severest of its repeats."""
    title: str
    text: str
    subject: str | None
    dedup_key: str
    details: Json
    invocation_id: UUID | None
    """The latest."""
    status: AlertStatus
    count: int
    first_seen: datetime
    last_seen: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    closed_at: datetime | None
    closed_by: str | None
    notified_at: datetime | None
    """When it had reached every place that wants it; None where none does, or while one is still tried."""
    notify_attempts: int
    notify_error: str | None
    """Why the last try to send it failed."""


class Alerts:
    """Raises alerts, and reads and ends those of an organization."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reader = reader(engine)

    async def raise_alert(self, alert: Alert) -> None:
        """As `record`, once."""
        await self.record(alert)

    async def record(self, alert: Alert, *, times: int = 1) -> UUID:
        """Its row's id: a new one, or the one it counts up. Committed when this returns.

        Where a connection breaks at the commit a repeat may count twice. A repeat that is severer is sent anew.
        """
        values = alert.model_dump(mode="json", exclude={"organization_id", "invocation_id", "dedup_window_s"})
        values |= {"organization_id": alert.organization_id, "invocation_id": alert.invocation_id}
        window = {"window": timedelta(seconds=alert.dedup_window_s), "times": times}

        async def work(connection: AsyncConnection) -> UUID:
            # Two that are raised at once wait for each other, so that the second finds the first one's row.
            await connection.execute(select(func.pg_advisory_xact_lock(_lock_key(alert))))
            repeated = (await connection.execute(_REPEAT, {**values, **window})).one_or_none()
            if repeated is not None:
                return UUID(str(repeated.id))
            alert_id = new_id()
            await connection.execute(insert(AlertRow).values(id=alert_id, count=times, **values))
            return alert_id

        return await in_transaction(self._engine, work)

    async def list_page(self, organization_id: UUID, narrowed: AlertFilter, request: PageRequest) -> Page[AlertRecord]:
        """One page, newest first."""
        statement = request.select(
            select(*_COLUMNS, AlertRow.first_seen.label("created_at")).where(
                AlertRow.organization_id == organization_id, *narrowed.conditions()
            ),
            AlertRow.first_seen,
            AlertRow.id,
        )

        async def read(connection: AsyncConnection) -> Page[AlertRecord]:
            return request.page((await connection.execute(statement)).all(), _record)

        return await in_transaction(self._reader, read)

    async def get(self, organization_id: UUID, alert_id: UUID) -> AlertRecord:
        """Raises NotFound, also for another organization's."""
        return await in_transaction(self._reader, lambda connection: _one(connection, organization_id, alert_id))

    async def acknowledge(
        self, organization_id: UUID, alert_id: UUID, *, actor: str, note: str | None = None
    ) -> AlertRecord:
        """Somebody looks after it; done already, it stays done. Raises NotFound, and Conflict if it is closed."""

        async def work(connection: AsyncConnection) -> AlertRecord:
            standing = await _one(connection, organization_id, alert_id, for_update=True)
            if standing.status is AlertStatus.CLOSED:
                raise Conflict(f"Alert {alert_id} is closed, so there is nothing to look after any more.")
            if standing.status is AlertStatus.ACKNOWLEDGED:
                return standing
            values = {"status": AlertStatus.ACKNOWLEDGED, "acknowledged_at": func.now(), "acknowledged_by": actor}
            return await _change(connection, organization_id, standing, values, "acknowledged", actor, note)

        return await in_transaction(self._engine, work)

    async def close(self, organization_id: UUID, alert_id: UUID, *, actor: str, note: str | None = None) -> AlertRecord:
        """It is over: a repeat is a new alert. Closed already: it stays as it is. Raises NotFound."""

        async def work(connection: AsyncConnection) -> AlertRecord:
            standing = await _one(connection, organization_id, alert_id, for_update=True)
            if standing.status is AlertStatus.CLOSED:
                return standing
            # What is over is no news: nothing is sent of it any more.
            values = {
                "status": AlertStatus.CLOSED,
                "closed_at": func.now(),
                "closed_by": actor,
                "notify_after": None,
            }
            return await _change(connection, organization_id, standing, values, "closed", actor, note)

        return await in_transaction(self._engine, work)


async def _one(
    connection: AsyncConnection, organization_id: UUID, alert_id: UUID, *, for_update: bool = False
) -> AlertRecord:
    statement = select(*_COLUMNS).where(AlertRow.organization_id == organization_id, AlertRow.id == alert_id)
    row = (await connection.execute(statement.with_for_update() if for_update else statement)).one_or_none()
    if row is None:
        raise NotFound(f"There is no alert {alert_id} in your organization.", param="alert_id")
    return _record(row)


async def _change(
    connection: AsyncConnection,
    organization_id: UUID,
    standing: AlertRecord,
    values: dict[str, Any],
    what: str,
    actor: str,
    note: str | None,
) -> AlertRecord:
    """The change and its audit row, in the caller's transaction."""
    row = (
        await connection.execute(
            update(AlertRow)
            .where(AlertRow.organization_id == organization_id, AlertRow.id == standing.id)
            .values(**values)
            .returning(*_COLUMNS)
        )
    ).one()
    details = {"kind": standing.kind, "title": standing.title, "count": standing.count, "note": note}
    await audit.append(
        connection,
        organization_id,
        actor=actor,
        action=f"alert.{what}",
        target=str(standing.id),
        details=details,
    )
    return _record(row)


def _lock_key(alert: Alert) -> int:
    """64 bits, signed as `bigint` is: two keys that share one only wait more."""
    digest = hashlib.sha256(b"alert:" + alert.organization_id.bytes + alert.dedup_key.encode("utf-8", "replace"))
    return int.from_bytes(digest.digest()[:8], "big", signed=True)


def _record(row: Row[*tuple[Any, ...]]) -> AlertRecord:
    values = row._asdict()
    return AlertRecord(**{name: values[name] for name in AlertRecord.model_fields})


_COLUMNS = tuple(getattr(AlertRow, name) for name in AlertRecord.model_fields)

_RANK = f"array_position(ARRAY[{', '.join(repr(severity.value) for severity in Severity)}], %s)"

_RISES = f"{_RANK % 'CAST(:severity AS text)'} > {_RANK % 'alerts.severity'}"

_REPEAT = text(
    f"""
    UPDATE alerts SET count = count + :times, last_seen = now(), title = :title, text = :text, details = :details,
        subject = coalesce(:subject, subject), invocation_id = coalesce(:invocation_id, invocation_id),
        severity = CASE WHEN {_RISES} THEN :severity ELSE severity END,
        notify_after = CASE WHEN {_RISES} THEN now() ELSE notify_after END,
        notified_at = CASE WHEN {_RISES} THEN NULL ELSE notified_at END,
        notify_attempts = CASE WHEN {_RISES} THEN 0 ELSE notify_attempts END,
        delivered_to = CASE WHEN {_RISES} THEN '[]' ELSE delivered_to END
    WHERE id = (
        SELECT id FROM alerts
        WHERE organization_id = :organization_id AND dedup_key = :dedup_key AND status <> '{AlertStatus.CLOSED}'
            AND first_seen > now() - :window
        ORDER BY first_seen DESC LIMIT 1
    )
    RETURNING id
    """  # noqa: S608 - put together from constants of this file alone
).bindparams(bindparam("details", type_=JSONB))
