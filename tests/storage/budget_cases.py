"""Budgets for the tests, and what they say of themselves."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from customhouse.contracts.budgets import BudgetDrift, BudgetRecord, BudgetSpec, PeriodStatus
from customhouse.contracts.identity import workflow_id
from customhouse.contracts.invocation import Caller, InvocationInput
from customhouse.storage.budgets import Budgets
from customhouse.storage.ledger import Cleared, Ledger
from customhouse.storage.ledger_rows import Opening
from tests.storage.ledger_cases import ESTIMATE, STEP, a_decision, an_invocation


def worst(usd: Decimal | str | int | None) -> Opening:
    return Opening(STEP, 50, ESTIMATE, None if usd is None else Decimal(usd))


async def a_budget(
    engine: AsyncEngine, organization_id: UUID, amount: Decimal | str | int, **changes: Any
) -> BudgetRecord:
    known: dict[str, Any] = {"name": "team", "scope": "organization", "period": "month", "amount_usd": Decimal(amount)}
    spec = BudgetSpec.model_validate(known | changes)
    return await Budgets(engine).create(organization_id, spec, actor="test")


def a_call(organization_id: UUID, **caller: Any) -> InvocationInput:
    return an_invocation(organization_id, caller=Caller(organization_id=organization_id, **caller))


async def begun(ledger: Ledger, invocation: InvocationInput, opening: Opening) -> Cleared:
    """As `begin` does: the decision, and the first attempt with it where budgets have room."""
    workflow = workflow_id(invocation.caller.organization_id, invocation.idempotency_key)
    return await ledger.clear(invocation, workflow, a_decision(invocation), None, opening)


async def period(engine: AsyncEngine, organization_id: UUID, budget: BudgetRecord) -> PeriodStatus:
    """The budget's only current period."""
    (only,) = (await Budgets(engine).get(organization_id, budget.id)).periods
    return only


def sums(period: PeriodStatus | BudgetDrift) -> tuple[Any, Any]:
    """Used and reserved, to be compared with any numbers."""
    return period.used_usd, period.reserved_usd
