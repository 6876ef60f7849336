"""The ledger: every key, decision, attempt and cent once, whatever is repeated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg.errors import ForeignKeyViolation, UniqueViolation
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from customhouse.contracts.errors import Conflict, ErrorRecord, IdempotencyMismatch
from customhouse.contracts.identity import workflow_id
from customhouse.contracts.invocation import AttemptStatus, InvocationInput, InvocationStatus
from customhouse.governance.journal import Event
from customhouse.storage.bus import Bus
from customhouse.storage.engine import is_retryable
from customhouse.storage.ledger import RECORDED_CHANNEL, Ledger
from customhouse.storage.statements import Statements
from tests.doubles.house import until
from tests.storage.ledger_cases import (
    ESTIMATE,
    OPENING,
    a_decision,
    a_record,
    an_invocation,
    an_outcome,
    cleared,
    opened,
)

_OPENED_BY_ANOTHER = text(
    "INSERT INTO attempts"
    " (invocation_id, number, organization_id, deployment_id, model, provider, region, lane, status)"
    " VALUES (:id, 1, :organization_id, 'm@p@eu', 'm', 'p', 'eu', 'local', 'started')"
)

_IS_BLOCKED = text("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid)))")


@pytest.fixture
async def ledger(storage_url: str) -> AsyncIterator[Ledger]:
    async with Statements(storage_url, size=5, application_name="customhouse-test") as statements:
        yield Ledger(statements)


class Rows:
    """What stands in Postgres of one invocation."""

    def __init__(self, engine: AsyncEngine, invocation: InvocationInput) -> None:
        self._engine = engine
        self._id = invocation.invocation_id

    async def _read(self, query: str) -> list[Any]:
        async with self._engine.connect() as connection:
            return list(await connection.execute(text(query), {"id": self._id}))

    async def attempts(self) -> list[tuple[Any, ...]]:
        rows = await self._read(
            "SELECT number, status, usd_cost FROM attempts WHERE invocation_id = :id ORDER BY number"
        )
        return [tuple(row) for row in rows]

    async def costs(self) -> list[tuple[Any, ...]]:
        rows = await self._read(
            "SELECT attempt_number, attempt_status, usd_cost FROM model_cost_logs WHERE invocation_id = :id "
            "ORDER BY attempt_number"
        )
        return [tuple(row) for row in rows]

    async def events(self) -> list[str]:
        return [
            row[0] for row in await self._read("SELECT event_type FROM governance_events WHERE invocation_id = :id")
        ]

    async def total(self) -> Decimal | None:
        ((total, recorded),) = await self._read(
            "SELECT usd_cost, result->>'usd_cost' AS recorded FROM invocations WHERE id = :id"
        )
        assert (None if recorded is None else Decimal(recorded)) == total
        return total  # type: ignore[no-any-return]


class TestAccept:
    async def test_a_key_is_claimed_once(self, ledger: Ledger, organization: UUID) -> None:
        claims = [an_invocation(organization, idempotency_key="k") for _ in range(8)]
        accepted = await asyncio.gather(*(ledger.accept(claim, workflow_id(organization, "k")) for claim in claims))
        assert sum(each.is_new for each in accepted) == 1
        (winner,) = (each.invocation_id for each in accepted if each.is_new)
        assert {each.invocation_id for each in accepted} == {winner}

    async def test_organizations_have_keys_of_their_own(
        self, ledger: Ledger, organization: UUID, stranger: UUID
    ) -> None:
        for each in (organization, stranger):
            accepted = await ledger.accept(an_invocation(each, idempotency_key="shared"), workflow_id(each, "shared"))
            assert accepted.is_new


class TestClear:
    async def test_the_first_decision_stands(self, ledger: Ledger, organization: UUID) -> None:
        invocation, decision = await cleared(ledger, organization)
        other = a_decision(invocation, policy_version="test-2")
        again = await ledger.clear(invocation, "w", other, None)
        assert again.decision is not None
        assert again.decision["policy_version"] == "test-1"
        same = await ledger.clear(invocation, "w", decision, None)
        assert same.decision is None

    async def test_another_request_under_the_same_key(self, ledger: Ledger, organization: UUID) -> None:
        invocation, _ = await cleared(ledger, organization)
        other = invocation.model_copy(update={"invocation_id": uuid4(), "fingerprint": "other"})
        with pytest.raises(IdempotencyMismatch, match="new key"):
            await ledger.clear(other, "w", a_decision(other), None)

    async def test_the_key_decides_about_the_id(self, ledger: Ledger, organization: UUID) -> None:
        invocation, decision = await cleared(ledger, organization)
        other = invocation.model_copy(update={"invocation_id": uuid4()})
        assert (await ledger.clear(other, "w", decision, None)).invocation_id == invocation.invocation_id

    async def test_an_unknown_organization(self, ledger: Ledger) -> None:
        invocation = an_invocation(uuid4())
        with pytest.raises(ForeignKeyViolation):
            await ledger.clear(invocation, "w", a_decision(invocation), None)

    async def test_the_first_attempt_is_opened_with_the_decision_that_stands(
        self, engine: AsyncEngine, ledger: Ledger, organization: UUID
    ) -> None:
        invocation = an_invocation(organization)
        first, second = (a_decision(invocation, policy_version=version) for version in ("test-1", "test-2"))
        cleared_first = await ledger.clear(invocation, "w", first, None, OPENING)
        assert (cleared_first.opened, cleared_first.decision) == (True, None)
        assert await Rows(engine, invocation).attempts() == [(1, "started", None)]
        again = await ledger.clear(invocation, "w", second, None, OPENING)
        assert again.opened is False
        assert again.decision is not None
        assert again.decision["policy_version"] == "test-1"
        assert await Rows(engine, invocation).attempts() == [(1, "started", None)]


class TestAttempts:
    async def test_a_started_one_is_closed_with_its_estimate(
        self, engine: AsyncEngine, ledger: Ledger, organization: UUID
    ) -> None:
        invocation, _ = await cleared(ledger, organization)
        rows = Rows(engine, invocation)
        assert await opened(ledger, invocation) == 1
        assert await rows.costs() == []
        assert await opened(ledger, invocation) == 2
        assert await rows.attempts() == [(1, "unknown", ESTIMATE), (2, "started", None)]
        assert await rows.costs() == [(1, "unknown", ESTIMATE)]
        assert await rows.events() == ["attempt_unknown"]

    async def test_two_workers_at_once_get_attempts_of_their_own(
        self, engine: AsyncEngine, ledger: Ledger, organization: UUID
    ) -> None:
        """The one that comes second is told to try again, and not that its statement is wrong."""
        invocation, _ = await cleared(ledger, organization)
        values = {"id": invocation.invocation_id, "organization_id": organization}
        async with engine.connect() as other:
            await other.execute(_OPENED_BY_ANOTHER, values)
            opening = asyncio.create_task(opened(ledger, invocation))

            async def is_blocked() -> bool:
                return bool((await other.execute(_IS_BLOCKED)).scalar_one())

            await until(is_blocked)
            await other.commit()
        with pytest.raises(UniqueViolation) as caught:
            await opening
        assert is_retryable(caught.value)
        assert await opened(ledger, invocation) == 2

    async def test_a_settled_one_is_returned(self, engine: AsyncEngine, ledger: Ledger, organization: UUID) -> None:
        invocation, _ = await cleared(ledger, organization)
        outcome = an_outcome(await opened(ledger, invocation))
        await ledger.settle(invocation, outcome)
        again = await ledger.open_attempt(invocation, OPENING, after_attempt=0)
        assert again.number == 1
        assert again.outcome is not None
        assert again.outcome.answer == outcome.answer
        assert again.outcome.settled
        assert await opened(ledger, invocation, after_attempt=1) == 2, "a repair asks for one after it"
        assert await Rows(engine, invocation).events() == []

    async def test_settling_twice_is_settling_once(
        self, engine: AsyncEngine, ledger: Ledger, organization: UUID
    ) -> None:
        invocation, _ = await cleared(ledger, organization)
        outcome = an_outcome(await opened(ledger, invocation), AttemptStatus.FAILED)
        await asyncio.gather(*(ledger.settle(invocation, outcome) for _ in range(5)))
        assert await Rows(engine, invocation).costs() == [(1, "failed", Decimal("0.25"))]

    @pytest.mark.parametrize("ended", [False, True])
    async def test_the_truth_replaces_an_estimate(
        self, engine: AsyncEngine, ledger: Ledger, organization: UUID, ended: bool
    ) -> None:
        invocation, decision = await cleared(ledger, organization)
        rows = Rows(engine, invocation)
        stalled = await opened(ledger, invocation)
        second = an_outcome(await opened(ledger, invocation))
        if ended:
            await ledger.finish(*a_record(invocation, decision, second), [], elapsed_ms=1, notify=False)
            assert await rows.total() == ESTIMATE + Decimal("0.25")
        await ledger.settle(invocation, an_outcome(stalled, usd_cost=Decimal("0.125")))
        if not ended:
            await ledger.finish(*a_record(invocation, decision, second), [], elapsed_ms=1, notify=False)
        assert await rows.attempts() == [(1, "unknown", Decimal("0.125")), (2, "succeeded", Decimal("0.25"))]
        assert await rows.costs() == [(1, "unknown", Decimal("0.125")), (2, "succeeded", Decimal("0.25"))]
        assert await rows.total() == Decimal("0.375")


class TestFinish:
    async def test_recording_twice_leaves_one_set_of_rows(
        self, engine: AsyncEngine, ledger: Ledger, organization: UUID
    ) -> None:
        invocation, decision = await cleared(ledger, organization)
        outcome = an_outcome(await opened(ledger, invocation))
        events = [Event("finding", "redact", "test-1", {"kind": "email"})]

        async def finish() -> Any:
            return await ledger.finish(*a_record(invocation, decision, outcome), events, elapsed_ms=50, notify=False)

        results = [*await asyncio.gather(*(finish() for _ in range(5))), await finish()]
        assert all(each.result == results[0].result for each in results)
        assert sum(each.here for each in results) == 1
        assert results[0].result.usd_cost == Decimal("0.25")
        assert results[0].result.overhead_ms == pytest.approx(37.5)
        rows = Rows(engine, invocation)
        assert await rows.costs() == [(1, "succeeded", Decimal("0.25"))]
        assert await rows.events() == ["finding"]

    async def test_the_first_end_stands(self, ledger: Ledger, organization: UUID) -> None:
        invocation, decision = await cleared(ledger, organization)
        outcome = an_outcome(await opened(ledger, invocation))
        await ledger.finish(*a_record(invocation, decision, outcome), [], elapsed_ms=1, notify=False)
        late = a_record(invocation, decision, None, InvocationStatus.CANCELLED)
        finished = await ledger.finish(*late, [], elapsed_ms=1, notify=False)
        assert (finished.result.status, finished.here) == (InvocationStatus.COMPLETED, False)

    async def test_an_attempt_that_nobody_closed_is_charged(
        self, engine: AsyncEngine, ledger: Ledger, organization: UUID
    ) -> None:
        invocation, decision = await cleared(ledger, organization)
        await opened(ledger, invocation)
        record = a_record(invocation, decision, None, InvocationStatus.FAILED)
        await ledger.finish(*record, [], elapsed_ms=1, notify=False)
        rows = Rows(engine, invocation)
        assert await rows.attempts() == [(1, "unknown", ESTIMATE)]
        assert await rows.costs() == [(1, "unknown", ESTIMATE)]
        assert await rows.total() == ESTIMATE

    async def test_an_unknown_price_stays_unknown(
        self, engine: AsyncEngine, ledger: Ledger, organization: UUID
    ) -> None:
        invocation, decision = await cleared(ledger, organization)
        outcome = an_outcome(await opened(ledger, invocation), usd_cost=None, price_source=None)
        finished = await ledger.finish(*a_record(invocation, decision, outcome), [], elapsed_ms=1, notify=False)
        assert finished.result.usd_cost is None
        assert await Rows(engine, invocation).costs() == [(1, "succeeded", None)]

    async def test_another_process_is_told_once(self, storage_url: str, ledger: Ledger, organization: UUID) -> None:
        invocation, decision = await cleared(ledger, organization)
        outcome = an_outcome(await opened(ledger, invocation))
        heard: asyncio.Queue[str] = asyncio.Queue()
        async with Bus(storage_url) as bus:
            await bus.subscribe(RECORDED_CHANNEL, heard.put_nowait, on_gap=lambda: None)
            for _ in range(2):
                await ledger.finish(*a_record(invocation, decision, outcome), [], elapsed_ms=1, notify=True)
            await bus.publish(RECORDED_CHANNEL, "the end")
            async with asyncio.timeout(20):
                assert await heard.get() == f"{organization}:{invocation.invocation_id}"
                assert await heard.get() == "the end"

    async def test_one_that_was_given_up_for_lost_ends_nothing(
        self, engine: AsyncEngine, ledger: Ledger, organization: UUID
    ) -> None:
        """A stalled worker wakes up while another one makes the next attempt: its cost is true, its end is not."""
        invocation, decision = await cleared(ledger, organization)
        first = an_outcome(await opened(ledger, invocation))
        second = an_outcome(await opened(ledger, invocation))
        with pytest.raises(Conflict):
            await ledger.finish(*a_record(invocation, decision, first), [], elapsed_ms=1, notify=False)
        assert await ledger.result(organization, invocation.invocation_id) is None
        await ledger.finish(*a_record(invocation, decision, second), [], elapsed_ms=1, notify=False)
        rows = Rows(engine, invocation)
        assert [status for _, status, _ in await rows.costs()] == ["unknown", "succeeded"]
        assert await rows.total() == first.usd_cost + second.usd_cost  # type: ignore[operator]

    async def test_one_whose_settlement_went_unheard_ends_the_invocation(
        self, engine: AsyncEngine, ledger: Ledger, organization: UUID
    ) -> None:
        """The connection broke behind the commit: whoever settled it does not know that it is."""
        invocation, decision = await cleared(ledger, organization)
        outcome = an_outcome(await opened(ledger, invocation))
        await ledger.settle(invocation, outcome)
        assert not outcome.settled
        finished = await ledger.finish(*a_record(invocation, decision, outcome), [], elapsed_ms=1, notify=False)
        assert (finished.result.status, finished.here) == (InvocationStatus.COMPLETED, True)
        rows = Rows(engine, invocation)
        assert await rows.costs() == [(1, "succeeded", Decimal("0.25"))]
        assert await rows.total() == Decimal("0.25")


class TestAbandon:
    async def test_what_was_started_is_charged(self, engine: AsyncEngine, ledger: Ledger, organization: UUID) -> None:
        invocation, _ = await cleared(ledger, organization)
        await opened(ledger, invocation)
        error = ErrorRecord(code="gone", message="Gone.", status=502)
        result = await ledger.abandon(organization, invocation.invocation_id, error)
        assert result is not None
        assert (result.status, result.error) == (InvocationStatus.FAILED, error)
        rows = Rows(engine, invocation)
        assert await rows.costs() == [(1, "unknown", ESTIMATE)]
        assert await rows.total() == ESTIMATE
        assert sorted(await rows.events()) == ["attempt_unknown", "invocation_abandoned"]

    async def test_an_ended_one_is_let_be(self, ledger: Ledger, organization: UUID) -> None:
        invocation, decision = await cleared(ledger, organization)
        outcome = an_outcome(await opened(ledger, invocation))
        await ledger.finish(*a_record(invocation, decision, outcome), [], elapsed_ms=1, notify=False)
        error = ErrorRecord(code="gone", message="Gone.", status=502)
        result = await ledger.abandon(organization, invocation.invocation_id, error)
        assert result is not None
        assert result.status is InvocationStatus.COMPLETED

    async def test_anothers_is_not_touched(self, ledger: Ledger, organization: UUID, stranger: UUID) -> None:
        invocation, _ = await cleared(ledger, organization)
        error = ErrorRecord(code="gone", message="Gone.", status=502)
        assert await ledger.abandon(stranger, invocation.invocation_id, error) is None
        assert await ledger.result(organization, invocation.invocation_id) is None

    async def test_no_attempt_is_made_for_it_any_more(
        self, engine: AsyncEngine, ledger: Ledger, organization: UUID
    ) -> None:
        """By a worker that stalled, and wakes when others have ended its invocation."""
        invocation, _ = await cleared(ledger, organization)
        await ledger.abandon(organization, invocation.invocation_id, ErrorRecord(code="gone", message="G.", status=502))
        with pytest.raises(Conflict, match="has ended"):
            await opened(ledger, invocation)
        async with engine.connect() as connection:
            count = text("SELECT count(*) FROM attempts WHERE invocation_id = :id")
            assert (await connection.execute(count, {"id": invocation.invocation_id})).scalar_one() == 0
