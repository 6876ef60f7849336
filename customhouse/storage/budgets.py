"""Budgets as operators make, change and read them. What calls do to them is in the ledger's statements and migration
0004's functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from customhouse.contracts.budgets import (
    EACH,
    BudgetChange,
    BudgetPeriodKind,
    BudgetRecord,
    BudgetScope,
    BudgetSpec,
    BudgetStatus,
    PeriodStatus,
)
from customhouse.contracts.errors import NotFound, UnprocessableField
from customhouse.governance.budgets.forecast import forecast
from customhouse.storage import audit
from customhouse.storage.budget_counts import add_earlier_spending, hold_open_attempts, see_thresholds
from customhouse.storage.engine import in_transaction, reader
from customhouse.storage.ids import new_id
from customhouse.storage.models import ApiKey, Budget, BudgetPeriod
from customhouse.storage.pages import Page, PageRequest

MOST_PERIODS = 100
"""Of one budget, in one answer."""


class Budgets:
    """Every call is bound to one organization."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reader = reader(engine)

    async def create(self, organization_id: UUID, spec: BudgetSpec, *, actor: str) -> BudgetRecord:
        """A new budget; what the period that runs has cost so far counts, and so do the attempts that are open.

        Raises UnprocessableField where its key is not one of the organization's.
        """
        budget_id = new_id()
        values = spec.model_dump(mode="python") | {"id": budget_id, "organization_id": organization_id}

        async def work(connection: AsyncConnection) -> BudgetRecord:
            await _check_key(connection, organization_id, spec)
            await _audit(connection, organization_id, actor, "budget.created", budget_id, spec.model_dump(mode="json"))
            # Attempts open under it from here on. Those before have committed when the lock is there, so they are seen
            # below; a budget is seldom made, and an attempt's statement takes milliseconds.
            await connection.execute(text("LOCK TABLE attempts IN SHARE ROW EXCLUSIVE MODE"))
            row = (
                await connection.execute(
                    insert(Budget).values(**values, counts_from=_counts_from(spec.period)).returning(*_COLUMNS)
                )
            ).one()
            await hold_open_attempts(connection, budget_id)
            return _record(row)

        created = await in_transaction(self._engine, work)
        # Without the lock, since a month's cost log may take a while to add up.
        await in_transaction(self._engine, lambda connection: add_earlier_spending(connection, organization_id))
        return created

    async def list_page(self, organization_id: UUID, request: PageRequest) -> Page[BudgetRecord]:
        """One page, newest first."""
        statement = request.select(select(*_COLUMNS).where(*_standing(organization_id)), Budget.created_at, Budget.id)

        async def read(connection: AsyncConnection) -> Page[BudgetRecord]:
            return request.page((await connection.execute(statement)).all(), _record)

        return await in_transaction(self._reader, read)

    async def get(self, organization_id: UUID, budget_id: UUID) -> BudgetStatus:
        """With its current periods. Raises NotFound, also for another organization's."""

        async def read(connection: AsyncConnection) -> BudgetStatus:
            found = (
                await connection.execute(
                    select(*_COLUMNS, func.now().label("now")).where(*_is_this(organization_id, budget_id))
                )
            ).one_or_none()
            if found is None:
                raise _no_such(budget_id)
            rows = await connection.execute(_current_periods(organization_id, found))
            return BudgetStatus(**found._asdict(), periods=[_status(row, found) for row in rows])

        return await in_transaction(self._reader, read)

    async def change(self, organization_id: UUID, budget_id: UUID, change: BudgetChange, *, actor: str) -> BudgetRecord:
        """Change what is set. Holds for the next attempt; what is in flight keeps what it holds. Raises NotFound."""
        values = change.model_dump(exclude_none=True)

        async def work(connection: AsyncConnection) -> BudgetRecord:
            if not values:
                rows = await connection.execute(select(*_COLUMNS).where(*_is_this(organization_id, budget_id)))
                row = rows.one_or_none()
            else:
                rows = await connection.execute(
                    update(Budget).where(*_is_this(organization_id, budget_id)).values(**values).returning(*_COLUMNS)
                )
                row = rows.one_or_none()
            if row is None:
                raise _no_such(budget_id)
            if values:
                await see_thresholds(connection, organization_id, budget_id, anew=True)
                changed = change.model_dump(mode="json", exclude_none=True)
                await _audit(connection, organization_id, actor, "budget.changed", budget_id, changed)
            return _record(row)

        return await in_transaction(self._engine, work)

    async def delete(self, organization_id: UUID, budget_id: UUID, *, actor: str) -> None:
        """From now on it bounds nothing. What it counted stands in its rows. Raises NotFound."""

        async def work(connection: AsyncConnection) -> None:
            row = (
                await connection.execute(
                    update(Budget)
                    .where(*_is_this(organization_id, budget_id))
                    .values(deleted_at=func.now())
                    .returning(Budget.name)
                )
            ).one_or_none()
            if row is None:
                raise _no_such(budget_id)
            await _audit(connection, organization_id, actor, "budget.deleted", budget_id, {"name": row.name})

        await in_transaction(self._engine, work)


def _counts_from(period: BudgetPeriodKind) -> Any:
    """Of the moment that the lock was had, not of the transaction's begin: midnight may lie between."""
    if period is BudgetPeriodKind.RUN:
        return func.clock_timestamp()
    return func.date_trunc(period.value, func.clock_timestamp(), "UTC")


def _current_periods(organization_id: UUID, budget: Row[*tuple[Any, ...]]) -> Any:
    this = (
        select(BudgetPeriod)
        .with_only_columns(*BudgetPeriod.__table__.columns)
        .where(BudgetPeriod.organization_id == organization_id, BudgetPeriod.budget_id == budget.id)
    )
    if budget.period == BudgetPeriodKind.RUN:
        return this.order_by(BudgetPeriod.created_at.desc()).limit(MOST_PERIODS)
    fullest = (BudgetPeriod.used_usd + BudgetPeriod.reserved_usd).desc()
    return (
        this.where(BudgetPeriod.period == func.budget_period(budget.period, func.now(), None))
        .order_by(fullest, BudgetPeriod.subject)
        .limit(MOST_PERIODS)
    )


def _status(row: Row[*tuple[Any, ...]], budget: Row[*tuple[Any, ...]]) -> PeriodStatus:
    now: datetime = budget.now
    return PeriodStatus(
        subject=row.subject,
        period=row.period,
        starts_at=row.starts_at,
        resets_at=row.ends_at,
        used_usd=row.used_usd,
        reserved_usd=row.reserved_usd,
        left_usd=budget.amount_usd - row.used_usd - row.reserved_usd,
        forecast_usd=forecast(row.used_usd, row.starts_at, row.ends_at, now),
        passed_percent=row.crossed,
    )


def _standing(organization_id: UUID) -> tuple[Any, ...]:
    return (Budget.organization_id == organization_id, Budget.deleted_at.is_(None))


def _is_this(organization_id: UUID, budget_id: UUID) -> tuple[Any, ...]:
    return (*_standing(organization_id), Budget.id == budget_id)


def _no_such(budget_id: UUID) -> NotFound:
    return NotFound(f"There is no budget {budget_id} in your organization.", param="budget_id")


async def _check_key(connection: AsyncConnection, organization_id: UUID, spec: BudgetSpec) -> None:
    if spec.scope is not BudgetScope.KEY or spec.scope_id == EACH:
        return
    is_theirs = (ApiKey.organization_id == organization_id, ApiKey.id == UUID(spec.scope_id))
    if (await connection.execute(select(ApiKey.id).where(*is_theirs))).one_or_none() is None:
        raise UnprocessableField(
            f"There is no key {spec.scope_id} in your organization. `customhouse keys list` shows them.",
            param="scope_id",
        )


async def _audit(
    connection: AsyncConnection,
    organization_id: UUID,
    actor: str,
    action: str,
    budget_id: UUID,
    details: Mapping[str, Any],
) -> None:
    await audit.append(connection, organization_id, actor=actor, action=action, target=str(budget_id), details=details)


_COLUMNS = tuple(getattr(Budget, name) for name in BudgetRecord.model_fields)


def _record(row: Row[*tuple[Any, ...]]) -> BudgetRecord:
    return BudgetRecord(**row._asdict())
