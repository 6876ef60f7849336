"""Thresholds that budgets have passed and nobody has been told of. A row says which, so that no restart forgets one."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from customhouse.contracts.alerts import AlertSink
from customhouse.governance.budgets.thresholds import Passed, alert_of
from customhouse.storage.engine import in_transaction

_LOCK = 0x4255444745545321
"""Of the advisory lock that one process at a time looks under."""

_MOST = 500
"""Told in one go."""

_DUE = text(
    """
    SELECT p.organization_id, p.budget_id, b.name, b.scope, p.subject, p.period, b.amount_usd, p.used_usd, b.hard,
        p.ends_at, t.threshold
    FROM budget_periods p
    JOIN budgets b ON b.id = p.budget_id
    CROSS JOIN LATERAL unnest(p.crossed) AS t(threshold)
    WHERE NOT (p.crossed <@ p.alerted) AND NOT t.threshold = ANY (p.alerted)
    ORDER BY p.created_at, p.budget_id, p.subject, t.threshold
    LIMIT :most
    """
)

_TOLD = text(
    """
    UPDATE budget_periods SET alerted = array_append(alerted, CAST(:threshold AS integer))
    WHERE organization_id = :organization_id AND budget_id = :budget_id AND period = :period AND subject = :subject
        AND NOT CAST(:threshold AS integer) = ANY (alerted)
    """
)


class BudgetThresholds:
    """Tells of every threshold that has been passed, over all organizations: it is their operators that hear of it."""

    def __init__(self, engine: AsyncEngine, sink: AlertSink) -> None:
        """`sink`: one that returns when the alert is durable; else a crash might lose it."""
        self._engine = engine
        self._sink = sink

    async def tell(self) -> int:
        """How many alerts were raised. One process at a time looks; the others leave it to that one.

        An alert is raised before its row says so: after a crash in between it comes again, under the same key.
        """

        async def work(connection: AsyncConnection) -> int:
            if not await connection.scalar(select(func.pg_try_advisory_xact_lock(_LOCK))):
                return 0
            due = [Passed(**row._asdict()) for row in await connection.execute(_DUE, {"most": _MOST})]
            for passed in due:
                await self._sink.raise_alert(alert_of(passed))
                await self._told(passed)
            return len(due)

        return await in_transaction(self._engine, work)

    async def _told(self, passed: Passed) -> None:
        """In a transaction of its own: calls wait for the period's row, and they must not wait for the other alerts."""
        values: dict[str, Any] = {
            "organization_id": passed.organization_id,
            "budget_id": passed.budget_id,
            "period": passed.period,
            "subject": passed.subject,
            "threshold": passed.threshold,
        }

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(_TOLD, values)

        await in_transaction(self._engine, work)
