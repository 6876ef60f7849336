"""What the budget says when all is over, and what the ledger says."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

_SUMS = """
    SELECT p.used_usd, p.reserved_usd, r.held, r.worst_usd, c.logged_usd, c.dearest_usd, a.open_attempts,
        a.unknown_attempts, a.answered_attempts, i.unfinished
    FROM budgets b,
    LATERAL (
        SELECT coalesce(sum(used_usd), 0) AS used_usd, coalesce(sum(reserved_usd), 0) AS reserved_usd
        FROM budget_periods WHERE budget_id = b.id
    ) p,
    LATERAL (
        SELECT count(*) FILTER (WHERE settled_usd IS NULL) AS held, coalesce(max(usd), 0) AS worst_usd
        FROM budget_reservations WHERE budget_id = b.id
    ) r,
    LATERAL (
        SELECT coalesce(sum(usd_cost), 0) AS logged_usd, coalesce(max(usd_cost), 0) AS dearest_usd
        FROM model_cost_logs WHERE organization_id = b.organization_id
    ) c,
    LATERAL (
        SELECT count(*) FILTER (WHERE status = 'started') AS open_attempts,
            count(*) FILTER (WHERE status = 'unknown') AS unknown_attempts,
            count(*) FILTER (WHERE status = 'succeeded') AS answered_attempts
        FROM attempts WHERE organization_id = b.organization_id
    ) a,
    LATERAL (
        SELECT count(*) FILTER (WHERE status IN ('accepted', 'running')) AS unfinished
        FROM invocations WHERE organization_id = b.organization_id
    ) i
    WHERE b.id = %(id)s
"""


@dataclass(frozen=True, slots=True)
class Audit:
    used_usd: Decimal
    reserved_usd: Decimal
    held: int
    """Reservations that were never settled."""
    worst_usd: Decimal
    """The most that one attempt held."""
    logged_usd: Decimal
    """Sum of the cost rows."""
    dearest_usd: Decimal
    """The dearest attempt's truth."""
    open_attempts: int
    unknown_attempts: int
    """Closed after a crash, with an estimate."""
    answered_attempts: int
    unfinished: int
    """Invocations that have not ended."""


async def audit(dsn: str, budget_id: UUID) -> Audit:
    async with await psycopg.AsyncConnection.connect(dsn, row_factory=dict_row) as connection:
        row = await (await connection.execute(_SUMS, {"id": budget_id})).fetchone()
    if row is None:
        raise LookupError(f"there is no budget {budget_id}")
    return Audit(**row)
