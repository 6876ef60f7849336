"""What budgets have counted, beside what calls add to it: spending from before a budget was made, and whether the
counts are what the cost log says.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from customhouse.contracts.budgets import BudgetDrift
from customhouse.storage.engine import in_transaction, reader

_OWNER = """
    CROSS JOIN LATERAL (
        SELECT budget_subject(b.scope, i.organization_id, i.key_id, i.agent_id, i.user_id, i.workflow_execution_id)
            AS subject, budget_period(b.period, {at}, i.workflow_execution_id) AS period
    ) AS w
"""

_IS_THEIRS = "w.subject IS NOT NULL AND w.period IS NOT NULL AND b.scope_id IN ('*', w.subject)"

_SPAN = """
    CASE WHEN b.period = 'run' THEN NULL ELSE date_trunc(b.period, {at}, 'UTC') END AS starts_at,
    CASE WHEN b.period = 'run' THEN NULL ELSE date_trunc(b.period, {at}, 'UTC') + ('1 ' || b.period)::interval END
        AS ends_at
"""

_HOLD_OPEN = text(
    f"""
    WITH open AS (
        SELECT a.invocation_id, a.number, b.id AS budget_id, b.organization_id, w.subject, w.period,
            coalesce(a.usd_cost_estimate, 0) AS usd, {_SPAN.format(at="a.started_at")}
        FROM budgets b
        JOIN attempts a ON a.organization_id = b.organization_id AND a.status = 'started'
        JOIN invocations i ON i.id = a.invocation_id
        {_OWNER.format(at="a.started_at")}
        WHERE b.id = :budget_id AND {_IS_THEIRS} AND (b.period = 'run' OR a.started_at >= b.counts_from)
    ), held AS (
        INSERT INTO budget_reservations (
            invocation_id, attempt_number, budget_id, organization_id, subject, period, usd)
        SELECT invocation_id, number, budget_id, organization_id, subject, period, usd FROM open
    ), marked AS (
        UPDATE attempts a SET is_budgeted = true FROM open o
        WHERE a.invocation_id = o.invocation_id AND a.number = o.number
    )
    INSERT INTO budget_periods (budget_id, period, subject, organization_id, starts_at, ends_at, reserved_usd)
    SELECT budget_id, period, subject, organization_id, min(starts_at), min(ends_at), sum(usd)
    FROM open GROUP BY budget_id, period, subject, organization_id
    """  # noqa: S608 - parts of our own
)

# Of the cost log since `counts_from`: what no reservation of this budget has counted. Once, as `counted_at` shows.
_ADD_EARLIER = text(
    f"""
    WITH b AS (
        UPDATE budgets SET counted_at = now() WHERE organization_id = :organization_id AND counted_at IS NULL
        RETURNING *
    ), spent AS (
        SELECT b.id AS budget_id, w.period, w.subject, b.organization_id, min(m.created_at) AS first,
            sum(m.usd_cost) AS usd
        FROM b
        JOIN model_cost_logs m ON m.organization_id = b.organization_id AND m.created_at >= b.counts_from
        JOIN invocations i ON i.id = m.invocation_id
        {_OWNER.format(at="m.created_at")}
        WHERE {_IS_THEIRS} AND m.usd_cost IS NOT NULL AND NOT EXISTS (
            SELECT FROM budget_reservations r WHERE r.invocation_id = m.invocation_id
                AND r.attempt_number = m.attempt_number AND r.budget_id = b.id)
        GROUP BY b.id, w.period, w.subject, b.organization_id
    )
    INSERT INTO budget_periods AS p (budget_id, period, subject, organization_id, starts_at, ends_at, used_usd)
    SELECT s.budget_id, s.period, s.subject, s.organization_id, {_SPAN.format(at="s.first")}, s.usd
    FROM spent s JOIN b ON b.id = s.budget_id
    ORDER BY s.budget_id, s.period, s.subject
    ON CONFLICT (budget_id, period, subject) DO UPDATE SET used_usd = p.used_usd + excluded.used_usd
    RETURNING p.budget_id
    """  # noqa: S608 - parts of our own
)

_SEE_THRESHOLDS = text(
    """
    WITH seen AS (
        SELECT p.budget_id, p.period, p.subject,
            budget_crossed(CASE WHEN :anew THEN '{}' ELSE p.crossed END, b.soft_percent, b.amount_usd, p.used_usd)
                AS crossed
        FROM budget_periods p JOIN budgets b ON b.id = p.budget_id
        WHERE b.organization_id = :organization_id AND b.id = :budget_id AND (p.ends_at IS NULL OR p.ends_at > now())
        ORDER BY p.budget_id, p.period, p.subject
        FOR UPDATE OF p
    )
    UPDATE budget_periods p SET crossed = s.crossed,
        alerted = ARRAY(SELECT a FROM unnest(p.alerted) AS a WHERE a = ANY (s.crossed) ORDER BY a)
    FROM seen s
    WHERE p.budget_id = s.budget_id AND p.period = s.period AND p.subject = s.subject AND p.crossed <> s.crossed
    """
)

_DRIFT = text(
    f"""
    WITH spent AS (
        SELECT b.id AS budget_id, w.period, w.subject, coalesce(sum(m.usd_cost), 0) AS usd
        FROM budgets b
        JOIN model_cost_logs m ON m.organization_id = b.organization_id
        JOIN invocations i ON i.id = m.invocation_id
        {_OWNER.format(at="m.created_at")}
        WHERE b.organization_id = :organization_id AND b.deleted_at IS NULL AND {_IS_THEIRS} AND (
            m.created_at >= b.counts_from OR EXISTS (
                SELECT FROM budget_reservations r WHERE r.invocation_id = m.invocation_id
                    AND r.attempt_number = m.attempt_number AND r.budget_id = b.id))
        GROUP BY b.id, w.period, w.subject
    ), held AS (
        SELECT r.budget_id, r.period, r.subject, sum(r.usd) AS usd,
            count(*) FILTER (WHERE a.status IS DISTINCT FROM 'started') AS leaked
        FROM budget_reservations r
        LEFT JOIN attempts a ON a.invocation_id = r.invocation_id AND a.number = r.attempt_number
        WHERE r.organization_id = :organization_id AND r.settled_usd IS NULL
        GROUP BY r.budget_id, r.period, r.subject
    )
    SELECT b.organization_id, c.*, b.name
    FROM (
        SELECT budget_id, period, subject, coalesce(p.used_usd, 0) AS used_usd, coalesce(s.usd, 0) AS logged_usd,
            coalesce(p.reserved_usd, 0) AS reserved_usd, coalesce(h.usd, 0) AS held_usd,
            coalesce(h.leaked, 0) AS leaked
        FROM budget_periods p
        FULL JOIN spent s USING (budget_id, period, subject)
        FULL JOIN held h USING (budget_id, period, subject)
    ) AS c
    JOIN budgets b ON b.id = c.budget_id
    WHERE b.organization_id = :organization_id AND b.deleted_at IS NULL
        AND (c.used_usd <> c.logged_usd OR c.reserved_usd <> c.held_usd OR c.leaked <> 0)
    ORDER BY b.id, c.period, c.subject
    """  # noqa: S608 - parts of our own
)


async def hold_open_attempts(connection: AsyncConnection, budget_id: UUID) -> None:
    """For a budget that is made in this transaction, which has the lock on the attempts: they settle under it too."""
    await connection.execute(_HOLD_OPEN, {"budget_id": budget_id})


async def add_earlier_spending(connection: AsyncConnection, organization_id: UUID) -> None:
    """For the organization's budgets that lack it: what was spent between `counts_from` and their creation."""
    rows = await connection.execute(_ADD_EARLIER, {"organization_id": organization_id})
    for budget_id in sorted(set(rows.scalars())):
        await see_thresholds(connection, organization_id, budget_id, anew=False)


async def see_thresholds(connection: AsyncConnection, organization_id: UUID, budget_id: UUID, *, anew: bool) -> None:
    """Note the thresholds that current periods have passed. `anew`: also forget those that they no longer have."""
    await connection.execute(
        _SEE_THRESHOLDS, {"organization_id": organization_id, "budget_id": budget_id, "anew": anew}
    )


class BudgetCounts:
    """Compares what budgets say with what the ledger says."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reader = reader(engine)

    async def drift(self, organization_id: UUID) -> list[BudgetDrift]:
        """Every period of a standing budget that differs, seen at one moment: also while calls go on, none should.

        A budget whose creation was cut short by a crash is completed first.
        """
        await in_transaction(self._engine, lambda connection: add_earlier_spending(connection, organization_id))

        async def read(connection: AsyncConnection) -> list[BudgetDrift]:
            rows = await connection.execute(_DRIFT, {"organization_id": organization_id})
            return [BudgetDrift(**row._asdict()) for row in rows]

        return await in_transaction(self._reader, read)
