"""Room is held before a call and settled to the truth after it, whatever closes the attempt, and however many race."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from customhouse.contracts.budgets import BudgetChange
from customhouse.contracts.errors import (
    BudgetExceeded,
    BudgetPriceUnknown,
    BudgetReserved,
    Conflict,
    ErrorRecord,
    FailureKind,
    NotFound,
    UnprocessableField,
)
from customhouse.contracts.invocation import AttemptStatus, InvocationStatus
from customhouse.storage.budget_counts import BudgetCounts
from customhouse.storage.budgets import Budgets
from customhouse.storage.ledger import Ledger
from customhouse.storage.statements import Statements
from tests.doubles.house import until
from tests.storage.budget_cases import a_budget, a_call, begun, period, sums, worst
from tests.storage.ledger_cases import a_decision, a_record, an_outcome

COST = Decimal("0.25")
"""Of `an_outcome`."""


@pytest.fixture(scope="module")
async def ledger(storage_url: str) -> AsyncIterator[Ledger]:
    async with Statements(storage_url, size=16, application_name="customhouse-test") as statements:
        yield Ledger(statements)


class TestWithoutBudgets:
    async def test_nothing_is_held(self, engine: AsyncEngine, ledger: Ledger, organization: UUID) -> None:
        invocation = a_call(organization)
        cleared = await begun(ledger, invocation, worst(5))
        assert (cleared.opened, cleared.is_budgeted) == (True, False)
        await ledger.settle(invocation, an_outcome(1))
        async with engine.connect() as connection:
            held = await connection.scalar(
                text("SELECT count(*) FROM budget_reservations WHERE organization_id = :id"), {"id": organization}
            )
        assert held == 0

    async def test_another_organizations_budget_does_not_count(
        self, engine: AsyncEngine, ledger: Ledger, organization: UUID, stranger: UUID
    ) -> None:
        await a_budget(engine, stranger, 0)
        assert (await begun(ledger, a_call(organization), worst(5))).opened


class TestOneCall:
    async def test_holds_the_worst_and_settles_to_the_truth(
        self, engine: AsyncEngine, ledger: Ledger, organization: UUID
    ) -> None:
        budget = await a_budget(engine, organization, 10)
        invocation = a_call(organization)
        cleared = await begun(ledger, invocation, worst(3))
        assert (cleared.opened, cleared.is_budgeted) == (True, True)
        held = await period(engine, organization, budget)
        assert sums(held) == (0, 3)
        assert held.left_usd == 7
        record = a_record(invocation, a_decision(invocation), an_outcome(1))
        await ledger.finish(*record, [], elapsed_ms=1, notify=False)
        settled = await period(engine, organization, budget)
        assert sums(settled) == (COST, 0)

    async def test_a_failure_that_cost_nothing_gives_all_of_it_back(
        self, engine: AsyncEngine, ledger: Ledger, organization: UUID
    ) -> None:
        budget = await a_budget(engine, organization, 10)
        invocation = a_call(organization)
        await begun(ledger, invocation, worst(3))
        await ledger.settle(invocation, an_outcome(1, AttemptStatus.FAILED, usd_cost=Decimal(0)))
        after = await period(engine, organization, budget)
        assert sums(after) == (0, 0)

    async def test_each_attempt_holds_anew(self, engine: AsyncEngine, ledger: Ledger, organization: UUID) -> None:
        budget = await a_budget(engine, organization, 10)
        invocation = a_call(organization)
        await begun(ledger, invocation, worst(3))
        await ledger.settle(invocation, an_outcome(1, AttemptStatus.FAILED))
        opened = await ledger.open_attempt(invocation, worst(9), after_attempt=1)
        assert (opened.number, opened.is_budgeted) == (2, True)
        with_both = await period(engine, organization, budget)
        assert sums(with_both) == (COST, 9)

    async def test_what_a_crash_left_open_makes_room_for_the_attempt_that_follows(
        self, engine: AsyncEngine, ledger: Ledger, organization: UUID
    ) -> None:
        budget = await a_budget(engine, organization, 4)
        invocation = a_call(organization)
        await begun(ledger, invocation, worst(3))
        opened = await ledger.open_attempt(invocation, worst(3), after_attempt=0)
        assert opened.number == 2
        after = await period(engine, organization, budget)
        assert sums(after) == (Decimal("0.5"), 3)  # the estimate

    async def test_a_late_truth_replaces_the_estimate(
        self, engine: AsyncEngine, ledger: Ledger, organization: UUID
    ) -> None:
        budget = await a_budget(engine, organization, 10)
        invocation = a_call(organization)
        await begun(ledger, invocation, worst(3))
        await ledger.open_attempt(invocation, worst(3), after_attempt=0)
        for _ in range(2):
            await ledger.settle(invocation, an_outcome(1, usd_cost=Decimal(2)))
        after = await period(engine, organization, budget)
        assert sums(after) == (2, 3)

    async def test_an_abandoned_invocation_gives_it_back(
        self, engine: AsyncEngine, ledger: Ledger, organization: UUID
    ) -> None:
        budget = await a_budget(engine, organization, 10)
        invocation = a_call(organization)
        await begun(ledger, invocation, worst(3))
        await ledger.abandon(organization, invocation.invocation_id, ErrorRecord(code="gone", message="", status=502))
        after = await period(engine, organization, budget)
        assert sums(after) == (Decimal("0.5"), 0)

    async def test_a_call_whose_cost_nobody_knows_uses_nothing(
        self, engine: AsyncEngine, ledger: Ledger, organization: UUID
    ) -> None:
        budget = await a_budget(engine, organization, 10, unpriced="allow")
        invocation = a_call(organization)
        assert (await begun(ledger, invocation, worst(None))).opened
        await ledger.settle(invocation, an_outcome(1, usd_cost=None))
        after = await period(engine, organization, budget)
        assert sums(after) == (0, 0)


class TestRefused:
    async def refused(self, ledger: Ledger, organization: UUID, usd: int | str | None, **caller: str) -> BudgetExceeded:
        invocation = a_call(organization, **caller)
        cleared = await begun(ledger, invocation, worst(usd))
        assert not cleared.opened
        assert cleared.status is InvocationStatus.RUNNING, "the decision stands, and the end is recorded as any other"
        with pytest.raises(BudgetExceeded) as caught:
            await ledger.open_attempt(invocation, worst(usd), after_attempt=0)
        return caught.value

    async def test_where_the_budget_is_spent(self, engine: AsyncEngine, ledger: Ledger, organization: UUID) -> None:
        budget = await a_budget(engine, organization, "1.5", name="our team")
        invocation = a_call(organization)
        await begun(ledger, invocation, worst(1))
        await ledger.settle(invocation, an_outcome(1, usd_cost=Decimal(1)))
        error = await self.refused(ledger, organization, 1)
        assert type(error) is BudgetExceeded
        assert error.to_record().kind is FailureKind.TERMINAL
        assert error.to_record().status == 402
        for told in ("'our team'", "0.5 USD of 1.5 USD left", "up to 1 USD", "begins anew at"):
            assert told in error.message
        after = await period(engine, organization, budget)
        assert sums(after) == (1, 0), "a refusal holds nothing"
        assert after.passed_percent == [0], "which operators are told of"

    async def test_where_calls_in_flight_hold_the_rest(
        self, engine: AsyncEngine, ledger: Ledger, organization: UUID
    ) -> None:
        budget = await a_budget(engine, organization, "1.5")
        first = a_call(organization)
        await begun(ledger, first, worst(1))
        error = await self.refused(ledger, organization, 1)
        assert isinstance(error, BudgetReserved)
        assert error.retry_after_s is not None
        assert "calls in flight hold 1 USD" in error.message
        assert (await period(engine, organization, budget)).passed_percent == []
        await ledger.settle(first, an_outcome(1))
        assert (await begun(ledger, a_call(organization), worst(1))).opened

    async def test_where_the_price_is_not_known(self, engine: AsyncEngine, ledger: Ledger, organization: UUID) -> None:
        await a_budget(engine, organization, 10)
        error = await self.refused(ledger, organization, None)
        assert isinstance(error, BudgetPriceUnknown)
        assert error.to_record().kind is FailureKind.REROUTABLE
        assert "m@p@eu" in error.message

    async def test_but_not_by_a_budget_that_only_alerts(
        self, engine: AsyncEngine, ledger: Ledger, organization: UUID
    ) -> None:
        budget = await a_budget(engine, organization, 1, hard=False)
        assert (await begun(ledger, a_call(organization), worst(5))).opened
        assert (await begun(ledger, a_call(organization), worst(None))).opened
        assert (await period(engine, organization, budget)).left_usd == -4

    async def test_and_not_where_nothing_is_to_be_paid(
        self, engine: AsyncEngine, ledger: Ledger, organization: UUID
    ) -> None:
        await a_budget(engine, organization, 0)
        assert (await begun(ledger, a_call(organization), worst(0))).opened
        await self.refused(ledger, organization, "0.0000000001")

    async def test_all_budgets_must_have_room(self, engine: AsyncEngine, ledger: Ledger, organization: UUID) -> None:
        roomy = await a_budget(engine, organization, 10)
        await a_budget(engine, organization, 1, name="narrow", scope="agent", scope_id="a")
        error = await self.refused(ledger, organization, 2, agent_id="a")
        assert "'narrow' (agent a, month" in error.message
        assert (await period(engine, organization, roomy)).reserved_usd == 0
        assert (await begun(ledger, a_call(organization, agent_id="b"), worst(2))).opened

    async def test_after_a_crash_the_open_attempt_is_closed_all_the_same(
        self, engine: AsyncEngine, ledger: Ledger, organization: UUID
    ) -> None:
        budget = await a_budget(engine, organization, 1)
        invocation = a_call(organization)
        await begun(ledger, invocation, worst(1))
        with pytest.raises(BudgetExceeded):
            await ledger.open_attempt(invocation, worst(1), after_attempt=0)
        after = await period(engine, organization, budget)
        assert sums(after) == (Decimal("0.5"), 0)


class TestScopes:
    @pytest.mark.parametrize("scope", ["agent", "user", "workflow_execution"])
    async def test_one_of_them(self, engine: AsyncEngine, ledger: Ledger, organization: UUID, scope: str) -> None:
        field = f"{scope}_id"
        await a_budget(engine, organization, 0, scope=scope, scope_id="x")
        assert not (await begun(ledger, a_call(organization, **{field: "x"}), worst(1))).opened
        assert (await begun(ledger, a_call(organization, **{field: "y"}), worst(1))).opened
        assert (await begun(ledger, a_call(organization), worst(1))).opened

    async def test_a_key(self, engine: AsyncEngine, ledger: Ledger, organization: UUID) -> None:
        key_id = uuid4()
        with pytest.raises(UnprocessableField, match="no key"):
            await a_budget(engine, organization, 0, scope="key", scope_id=str(key_id))
        budget = await a_budget(engine, organization, 1, scope="key", scope_id="*")
        assert (await begun(ledger, a_call(organization, key_id=key_id), worst(1))).opened
        assert not (await begun(ledger, a_call(organization, key_id=key_id), worst(1))).opened
        assert (await begun(ledger, a_call(organization, key_id=uuid4()), worst(1))).opened
        subjects = {p.subject for p in (await Budgets(engine).get(organization, budget.id)).periods}
        assert str(key_id) in subjects
        assert len(subjects) == 2

    async def test_each_of_them(self, engine: AsyncEngine, ledger: Ledger, organization: UUID) -> None:
        await a_budget(engine, organization, 1, scope="user", scope_id="*", period="day")
        for user in ("ann", "bob"):
            assert (await begun(ledger, a_call(organization, user_id=user), worst(1))).opened
            assert not (await begun(ledger, a_call(organization, user_id=user), worst(1))).opened

    async def test_a_name_counts_in_its_own_scope_only(
        self, engine: AsyncEngine, ledger: Ledger, organization: UUID
    ) -> None:
        await a_budget(engine, organization, 0, scope="user", scope_id="x")
        assert (await begun(ledger, a_call(organization, agent_id="x"), worst(1))).opened

    async def test_each_run(self, engine: AsyncEngine, ledger: Ledger, organization: UUID) -> None:
        budget = await a_budget(engine, organization, 1, scope="agent", scope_id="a", period="run")
        for run in ("run-1", "run-2"):
            assert (await begun(ledger, a_call(organization, agent_id="a", workflow_execution_id=run), worst(1))).opened
        assert not (
            await begun(ledger, a_call(organization, agent_id="a", workflow_execution_id="run-1"), worst(1))
        ).opened
        assert (await begun(ledger, a_call(organization, agent_id="a"), worst(1))).opened, "of no run"
        periods = (await Budgets(engine).get(organization, budget.id)).periods
        assert {(p.period, p.resets_at) for p in periods} == {("run-1", None), ("run-2", None)}


class TestPeriods:
    async def test_a_call_counts_where_it_began(self, engine: AsyncEngine, ledger: Ledger, organization: UUID) -> None:
        budget = await a_budget(engine, organization, 10, period="day")
        invocation = a_call(organization)
        await begun(ledger, invocation, worst(1))
        async with engine.begin() as connection:  # as if that had been yesterday
            for table in ("budget_periods", "budget_reservations"):
                await connection.execute(
                    text(f"UPDATE {table} SET period = 'yesterday' WHERE organization_id = :id"),
                    {"id": organization},
                )
        assert (await begun(ledger, a_call(organization), worst(2))).opened
        await ledger.settle(invocation, an_outcome(1))
        today = await period(engine, organization, budget)
        assert sums(today) == (0, 2)
        assert today.resets_at is not None
        assert today.starts_at is not None
        assert (today.resets_at - today.starts_at).days == 1


class TestMadeAmidCalls:
    async def test_what_the_period_has_cost_counts(
        self, engine: AsyncEngine, ledger: Ledger, organization: UUID
    ) -> None:
        spent = a_call(organization, agent_id="a")
        await begun(ledger, spent, worst(1))
        await ledger.settle(spent, an_outcome(1))
        other = a_call(organization, agent_id="b")
        await begun(ledger, other, worst(1))
        await ledger.settle(other, an_outcome(1, usd_cost=Decimal(7)))
        budget = await a_budget(engine, organization, "0.3", scope="agent", scope_id="a")
        counted = await period(engine, organization, budget)
        assert counted.used_usd == COST
        assert counted.passed_percent == [80]
        assert await BudgetCounts(engine).drift(organization) == []

    async def test_what_is_open_is_held_and_settled(
        self, engine: AsyncEngine, ledger: Ledger, organization: UUID
    ) -> None:
        invocation = a_call(organization)
        await begun(ledger, invocation, worst(1))
        budget = await a_budget(engine, organization, 10)
        assert (await period(engine, organization, budget)).reserved_usd == Decimal("0.5")  # its estimate
        assert await BudgetCounts(engine).drift(organization) == []
        await ledger.settle(invocation, an_outcome(1))
        after = await period(engine, organization, budget)
        assert sums(after) == (COST, 0)

    async def test_none_slips_through_while_it_is_made(
        self, engine: AsyncEngine, ledger: Ledger, organization: UUID
    ) -> None:
        calls = [a_call(organization) for _ in range(24)]

        async def make(number: int) -> None:
            await begun(ledger, calls[number], worst(1))
            await ledger.settle(calls[number], an_outcome(1))

        making = [asyncio.create_task(make(number)) for number in range(12)]
        budget_made = asyncio.create_task(a_budget(engine, organization, 1000))
        making += [asyncio.create_task(make(number)) for number in range(12, 24)]
        await asyncio.gather(*making)
        after = await period(engine, organization, await budget_made)
        assert sums(after) == (24 * COST, 0)
        assert await BudgetCounts(engine).drift(organization) == []

    async def test_a_call_that_waits_for_its_making_is_bound_by_it(
        self, engine: AsyncEngine, ledger: Ledger, organization: UUID
    ) -> None:
        """Its statement has begun before the budget is there, and goes on after."""
        async with engine.begin() as connection:
            await connection.execute(text("LOCK TABLE attempts IN SHARE ROW EXCLUSIVE MODE"))
            invocation = a_call(organization)
            waiting = asyncio.create_task(begun(ledger, invocation, worst(1)))

            async def is_waiting() -> bool:
                waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'attempts'::regclass)"
                return bool(await connection.scalar(text(waits)))

            await until(is_waiting)
            await connection.execute(
                text(
                    "INSERT INTO budgets (id, organization_id, name, scope, scope_id, period, amount_usd, counts_from) "
                    "VALUES (:id, :organization, 'b', 'organization', '*', 'month', 5, now())"
                ),
                {"id": uuid4(), "organization": organization},
            )
        assert (await waiting).is_budgeted


class TestRaces:
    async def test_never_more_than_the_amount(self, engine: AsyncEngine, ledger: Ledger, organization: UUID) -> None:
        budgets = [
            await a_budget(engine, organization, 10),
            await a_budget(engine, organization, 12, scope="user", scope_id="*"),
            await a_budget(engine, organization, 11, scope="agent", scope_id="a", period="day"),
        ]

        async def make() -> bool:
            invocation = a_call(organization, agent_id="a", user_id="u")
            if not (await begun(ledger, invocation, worst(1))).opened:
                return False
            await ledger.settle(invocation, an_outcome(1, usd_cost=Decimal(1)))
            return True

        assert sum(await asyncio.gather(*(make() for _ in range(40)))) == 10
        for budget in budgets:
            after = await period(engine, organization, budget)
            assert sums(after) == (10, 0)
        assert await BudgetCounts(engine).drift(organization) == []

    async def test_takeovers_and_stalled_workers_at_once(
        self, engine: AsyncEngine, ledger: Ledger, organization: UUID
    ) -> None:
        await a_budget(engine, organization, 1000)

        async def fight() -> None:
            invocation = a_call(organization)
            await begun(ledger, invocation, worst(1))

            async def take_over() -> None:
                with suppress(Conflict):  # it has ended already
                    await ledger.open_attempt(invocation, worst(1), after_attempt=0)

            await asyncio.gather(
                ledger.settle(invocation, an_outcome(1)),
                take_over(),
                ledger.extend(invocation.invocation_id, 1, Decimal(2)),
                ledger.abandon(organization, invocation.invocation_id, ErrorRecord(code="g", message="", status=502)),
                ledger.settle(invocation, an_outcome(1)),
            )
            await ledger.abandon(organization, invocation.invocation_id, ErrorRecord(code="g", message="", status=502))

        await asyncio.gather(*(fight() for _ in range(12)))
        assert await BudgetCounts(engine).drift(organization) == []


class TestLongerStreams:
    async def test_hold_more_while_there_is_room(self, engine: AsyncEngine, ledger: Ledger, organization: UUID) -> None:
        budget = await a_budget(engine, organization, 3)
        invocation = a_call(organization)
        await begun(ledger, invocation, worst(1))
        assert await ledger.extend(invocation.invocation_id, 1, Decimal(1)) == []
        assert (await period(engine, organization, budget)).reserved_usd == 2
        (shortage,) = await ledger.extend(invocation.invocation_id, 1, Decimal(2))
        assert shortage.budget_id == budget.id
        assert (await period(engine, organization, budget)).reserved_usd == 2
        await ledger.settle(invocation, an_outcome(1))
        after = await period(engine, organization, budget)
        assert sums(after) == (COST, 0)

    async def test_but_not_once_they_are_settled(self, engine: AsyncEngine, ledger: Ledger, organization: UUID) -> None:
        budget = await a_budget(engine, organization, 3)
        invocation = a_call(organization)
        await begun(ledger, invocation, worst(1))
        await ledger.settle(invocation, an_outcome(1))
        assert await ledger.extend(invocation.invocation_id, 1, Decimal(1)) == []
        assert (await period(engine, organization, budget)).reserved_usd == 0


class TestChanges:
    async def test_a_raised_amount_forgets_what_is_not_reached_any_more(
        self, engine: AsyncEngine, ledger: Ledger, organization: UUID
    ) -> None:
        budget = await a_budget(engine, organization, "0.25", soft_percent=[50, 80])
        invocation = a_call(organization)
        await begun(ledger, invocation, worst("0.25"))
        await ledger.settle(invocation, an_outcome(1))
        assert (await period(engine, organization, budget)).passed_percent == [50, 80, 100]
        changed = await Budgets(engine).change(
            organization, budget.id, BudgetChange(amount_usd=Decimal("0.5")), actor="test"
        )
        assert changed.amount_usd == Decimal("0.5")
        assert (await period(engine, organization, budget)).passed_percent == [50]

    async def test_a_deleted_one_bounds_nothing_and_lets_go_of_what_is_open(
        self, engine: AsyncEngine, ledger: Ledger, organization: UUID
    ) -> None:
        budget = await a_budget(engine, organization, 1)
        invocation = a_call(organization)
        await begun(ledger, invocation, worst(1))
        await Budgets(engine).delete(organization, budget.id, actor="test")
        assert (await begun(ledger, a_call(organization), worst(5))).opened
        await ledger.settle(invocation, an_outcome(1))
        with pytest.raises(NotFound):
            await Budgets(engine).get(organization, budget.id)

    async def test_a_stranger_sees_and_changes_nothing(
        self, engine: AsyncEngine, organization: UUID, stranger: UUID
    ) -> None:
        budget = await a_budget(engine, organization, 1)
        for attempt in (
            Budgets(engine).get(stranger, budget.id),
            Budgets(engine).change(stranger, budget.id, BudgetChange(hard=False), actor="test"),
            Budgets(engine).delete(stranger, budget.id, actor="test"),
        ):
            with pytest.raises(NotFound):
                await attempt


class TestDrift:
    async def test_every_difference_shows(self, engine: AsyncEngine, ledger: Ledger, organization: UUID) -> None:
        budget = await a_budget(engine, organization, 10)
        invocation = a_call(organization)
        await begun(ledger, invocation, worst(1))
        await ledger.settle(invocation, an_outcome(1))
        assert await BudgetCounts(engine).drift(organization) == []
        async with engine.begin() as connection:
            await connection.execute(
                text("UPDATE budget_periods SET used_usd = 9, reserved_usd = 1 WHERE budget_id = :id"),
                {"id": budget.id},
            )
        (found,) = await BudgetCounts(engine).drift(organization)
        assert sums(found) == (9, 1)
        assert (found.logged_usd, found.held_usd) == (COST, Decimal(0))
        async with engine.begin() as connection:
            await connection.execute(
                text("UPDATE budget_periods SET used_usd = 0.25, reserved_usd = 1 WHERE budget_id = :id"),
                {"id": budget.id},
            )
            await connection.execute(
                text("UPDATE budget_reservations SET settled_usd = NULL WHERE budget_id = :id"), {"id": budget.id}
            )
        (found,) = await BudgetCounts(engine).drift(organization)
        assert found.leaked == 1
