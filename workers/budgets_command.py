"""`customhouse budgets`: make, list, show, change, delete and verify budgets, for whoever operates the installation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from pydantic import BaseModel, ValidationError
from rich.console import Console
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncEngine

from customhouse.contracts.budgets import BudgetChange, BudgetDrift, BudgetRecord, BudgetSpec, BudgetStatus
from customhouse.contracts.errors import UnprocessableField
from customhouse.contracts.money import plain
from customhouse.storage.budget_counts import BudgetCounts
from customhouse.storage.budgets import Budgets
from customhouse.storage.engine import create_engine
from customhouse.storage.organizations import Organizations
from customhouse.storage.pages import LARGEST_LIMIT, Cursor, PageRequest

T = TypeVar("T")
Message = TypeVar("Message", bound=BaseModel)

ACTOR = "command-line"
"""As the audit log names who did it."""


async def create(database_url: str, organization: str, **fields: Any) -> BudgetRecord:
    """Raises UnprocessableField for a field that is wrong, NotFound for an unknown organization."""
    spec = _checked(BudgetSpec, fields)

    async def work(engine: AsyncEngine, organization_id: UUID) -> BudgetRecord:
        return await Budgets(engine).create(organization_id, spec, actor=ACTOR)

    return await _in_organization(database_url, organization, work)


async def list_all(database_url: str, organization: str) -> list[BudgetStatus]:
    """All budgets with their current periods, the oldest first."""

    async def work(engine: AsyncEngine, organization_id: UUID) -> list[BudgetStatus]:
        budgets, records, after = Budgets(engine), list[BudgetRecord](), None
        while True:
            page = await budgets.list_page(organization_id, PageRequest(LARGEST_LIMIT, after))
            records += page.data
            if page.next is None:
                return [await budgets.get(organization_id, record.id) for record in reversed(records)]
            after = Cursor.decode(page.next)

    return await _in_organization(database_url, organization, work)


async def get(database_url: str, organization: str, budget_id: str) -> BudgetStatus:
    parsed = _id(budget_id)

    async def work(engine: AsyncEngine, organization_id: UUID) -> BudgetStatus:
        return await Budgets(engine).get(organization_id, parsed)

    return await _in_organization(database_url, organization, work)


async def change(database_url: str, organization: str, budget_id: str, **fields: Any) -> BudgetRecord:
    """`fields` that are None stay as they are."""
    parsed = _id(budget_id)
    wanted = _checked(BudgetChange, {name: value for name, value in fields.items() if value is not None})

    async def work(engine: AsyncEngine, organization_id: UUID) -> BudgetRecord:
        return await Budgets(engine).change(organization_id, parsed, wanted, actor=ACTOR)

    return await _in_organization(database_url, organization, work)


async def delete(database_url: str, organization: str, budget_id: str) -> None:
    parsed = _id(budget_id)

    async def work(engine: AsyncEngine, organization_id: UUID) -> None:
        await Budgets(engine).delete(organization_id, parsed, actor=ACTOR)

    await _in_organization(database_url, organization, work)


async def verify(database_url: str, organization: str) -> list[BudgetDrift]:
    """Periods whose counts are not what the cost log and the open attempts say. None is what is wanted."""

    async def work(engine: AsyncEngine, organization_id: UUID) -> list[BudgetDrift]:
        return await BudgetCounts(engine).drift(organization_id)

    return await _in_organization(database_url, organization, work)


def show(console: Console, budgets: list[BudgetStatus]) -> None:
    """One row a current period; a budget of which nothing is used yet has one row too."""
    table = Table()
    table.add_column("id", min_width=36, no_wrap=True)
    for name in ("name", "whose", "period", "used", "held", "left", "of USD", "forecast", "kind"):
        table.add_column(name)
    for budget in budgets:
        whose = budget.scope if budget.scope == "organization" else f"{budget.scope} {budget.scope_id}"
        kind, amount = "hard" if budget.hard else "soft", plain(budget.amount_usd)
        if not budget.periods:
            table.add_row(str(budget.id), budget.name, whose, budget.period, "0", "0", amount, amount, "", kind)
        for period in budget.periods:
            subject = f"{budget.scope} {period.subject}" if budget.scope_id == "*" != period.subject else whose
            table.add_row(
                str(budget.id),
                budget.name,
                whose if budget.scope == "organization" else subject,
                period.period,
                *(plain(usd) for usd in (period.used_usd, period.reserved_usd, period.left_usd, budget.amount_usd)),
                "" if period.forecast_usd is None else plain(period.forecast_usd),
                kind,
            )
    console.print(table)


def show_drift(console: Console, drift: list[BudgetDrift]) -> None:
    if not drift:
        console.print("Every budget says what the cost log says, and holds what open attempts hold.")
        return
    table = Table(title=f"{len(drift)} periods differ")
    for name in ("budget", "subject", "period", "used", "by the cost log", "held", "by open attempts", "leaked"):
        table.add_column(name)
    for each in drift:
        numbers: tuple[Decimal, ...] = (each.used_usd, each.logged_usd, each.reserved_usd, each.held_usd)
        table.add_row(each.name, each.subject, each.period, *(plain(usd) for usd in numbers), str(each.leaked))
    console.print(table)


def _checked(kind: type[Message], fields: dict[str, Any]) -> Message:
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        param = ".".join(str(part) for part in first["loc"]) or "scope_id"
        raise UnprocessableField(f"{param}: {first['msg']}.", param=param) from error


def _id(budget_id: str) -> UUID:
    try:
        return UUID(budget_id)
    except ValueError as error:
        raise UnprocessableField(
            f"{budget_id!r} is no budget id. `customhouse budgets list` shows them.", param="id"
        ) from error


async def _in_organization(
    database_url: str, organization: str, work: Callable[[AsyncEngine, UUID], Awaitable[T]]
) -> T:
    """Raises NotFound if there is no such organization."""
    engine = create_engine(database_url, pool_size=1, application_name="customhouse-budgets")
    try:
        owner = await Organizations(engine).find(organization)
        return await work(engine, owner.id)
    finally:
        await engine.dispose()
