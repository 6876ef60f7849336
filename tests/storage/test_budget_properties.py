"""Whatever sequence of steps, crashes and repetitions, one by one or all at once: budgets say what the ledger says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from customhouse.contracts.errors import BudgetExceeded, Conflict, ErrorRecord
from customhouse.contracts.invocation import AttemptStatus, InvocationInput, InvocationStatus
from customhouse.storage.budget_counts import BudgetCounts
from customhouse.storage.engine import is_retryable
from customhouse.storage.ledger import Ledger
from customhouse.storage.organizations import Organizations
from customhouse.storage.statements import Statements
from tests.storage.budget_cases import a_budget, a_call, begun, worst
from tests.storage.ledger_cases import a_decision, a_record, an_outcome

AMOUNT = Decimal(10)
GONE = ErrorRecord(code="gone", message="Gone.", status=502)

_SETTLED = [AttemptStatus.SUCCEEDED, AttemptStatus.FAILED, AttemptStatus.CANCELLED]

USD = st.integers(0, 5 * 10**10).map(lambda units: Decimal(units) / 10**10)
CALL = st.integers(0, 2)
ATTEMPT = st.integers(1, 3)
STEP = st.one_of(
    st.tuples(st.just("begin"), CALL, USD),
    st.tuples(st.just("open"), CALL, USD),
    st.tuples(st.just("extend"), CALL, ATTEMPT, USD),
    st.tuples(st.just("settle"), CALL, ATTEMPT, st.sampled_from(_SETTLED), st.one_of(st.none(), USD)),
    st.tuples(st.just("finish"), CALL, ATTEMPT, st.sampled_from(_SETTLED), USD),
    st.tuples(st.just("abandon"), CALL),
)

PROPERTY = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # each step waits for Postgres: shrinking would take minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Run:
    """Calls of one organization, and the highest number that each has an attempt of."""

    def __init__(self, ledger: Ledger, organization: UUID) -> None:
        self.ledger = ledger
        self.organization = organization
        self.calls = [a_call(organization, agent_id=f"agent-{n % 2}", workflow_execution_id="run") for n in range(3)]
        self.made = [0, 0, 0]
        self.is_beginning, self.begun = [False] * 3, [False] * 3

    async def do(self, step: tuple[Any, ...]) -> bool:
        """Whether an attempt that may cost something was let through. Steps that could not come to pass are left out.

        What lost a race is tried again, as the activities do.
        """
        while True:
            try:
                return await self._do(step)
            except psycopg.Error as error:
                if not is_retryable(error):
                    raise

    async def _do(self, step: tuple[Any, ...]) -> bool:
        ledger, number = self.ledger, step[1]
        call: InvocationInput = self.calls[number]
        if self.is_beginning[number] if step[0] == "begin" else not self.begun[number]:
            return False
        with suppress(BudgetExceeded, Conflict):
            match step:
                case ("begin", _, usd):
                    self.is_beginning[number] = True
                    cleared = await begun(ledger, call, worst(usd))
                    self.begun[number] = True
                    self.made[number] = max(self.made[number], int(cleared.opened))
                    return bool(cleared.opened and usd)
                case ("open", _, usd):
                    opened = await ledger.open_attempt(call, worst(usd), after_attempt=self.made[number])
                    self.made[number] = max(self.made[number], opened.number)
                    return bool(opened.is_budgeted and usd)
                case ("extend", _, attempt, usd):
                    await ledger.extend(call.invocation_id, attempt, usd)
                case ("settle", _, attempt, status, usd) if attempt <= self.made[number]:
                    await ledger.settle(call, an_outcome(attempt, status, usd_cost=usd))
                case ("finish", _, attempt, status, usd) if attempt <= self.made[number]:
                    ending = (
                        InvocationStatus.COMPLETED if status is AttemptStatus.SUCCEEDED else InvocationStatus.FAILED
                    )
                    record = a_record(call, a_decision(call), an_outcome(attempt, status, usd_cost=usd), ending)
                    await ledger.finish(*record, [], elapsed_ms=1, notify=False)
                case ("abandon", _):
                    await ledger.abandon(self.organization, call.invocation_id, GONE)
        return False

    async def end(self) -> None:
        """Housekeeping comes by: nothing stays open."""
        for call, is_begun in zip(self.calls, self.begun, strict=True):
            if is_begun:
                await self.ledger.abandon(self.organization, call.invocation_id, GONE)


@pytest.fixture(scope="module")
async def ledger(storage_url: str) -> AsyncIterator[Ledger]:
    async with Statements(storage_url, size=8, application_name="customhouse-test") as statements:
        yield Ledger(statements)


async def a_run(engine: AsyncEngine, ledger: Ledger) -> Run:
    """With two budgets that apply to its calls."""
    organization = await Organizations(engine).ensure(f"acme {uuid4()}", actor="test")
    await a_budget(engine, organization.id, AMOUNT)
    await a_budget(engine, organization.id, AMOUNT, scope="agent", scope_id="*", period="run")
    return Run(ledger, organization.id)


_SUMS = text(
    "SELECT budget_id, used_usd, reserved_usd FROM budget_periods WHERE organization_id = :id ORDER BY budget_id"
)


async def totals(engine: AsyncEngine, organization: UUID) -> list[tuple[Decimal, Decimal]]:
    """Used and reserved of every period, the older budget's first."""
    async with engine.connect() as connection:
        rows = await connection.execute(_SUMS, {"id": organization})
        return [(row.used_usd, row.reserved_usd) for row in rows]


async def check_end(run: Run, engine: AsyncEngine) -> None:
    await run.end()
    assert await BudgetCounts(engine).drift(run.organization) == []
    assert all(reserved == 0 for _, reserved in await totals(engine, run.organization))


@PROPERTY
@given(steps=st.lists(STEP, min_size=1, max_size=14))
async def test_one_by_one(engine: AsyncEngine, ledger: Ledger, steps: list[tuple[Any, ...]]) -> None:
    run = await a_run(engine, ledger)
    for step in steps:
        is_let_through = await run.do(step)
        sums = await totals(engine, run.organization)
        assert all(reserved >= 0 for _, reserved in sums), step
        # Only a truth that is worse than the worst takes a budget beyond its amount.
        assert not is_let_through or sums[0][0] + sums[0][1] <= AMOUNT, step
    await check_end(run, engine)


@PROPERTY
@given(lanes=st.lists(st.lists(STEP, min_size=1, max_size=8), min_size=2, max_size=4))
async def test_all_at_once(engine: AsyncEngine, ledger: Ledger, lanes: list[list[tuple[Any, ...]]]) -> None:
    run = await a_run(engine, ledger)

    async def lane(steps: list[tuple[Any, ...]]) -> None:
        for step in steps:
            await run.do(step)

    await asyncio.gather(*(lane(steps) for steps in lanes))
    assert await BudgetCounts(engine).drift(run.organization) == []
    await check_end(run, engine)
