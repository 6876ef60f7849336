"""The audit of the chaos benchmark: it must see what would be wrong. Rows are made by hand, in a real Postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.chaos.__main__ import Tally, bars
from benchmarks.chaos.audit import Audit, audit
from benchmarks.chaos.client import End, Fate
from customhouse.storage.engine import create_engine, libpq_url
from customhouse.storage.organizations import Organizations
from tests.storage.rows import add_attempt, add_cost, add_invocation

COST = Decimal("0.001")


class Books:
    """A ledger to write into by hand."""

    def __init__(self, engine: AsyncEngine, organization: UUID, dsn: str) -> None:
        self._engine = engine
        self._organization = organization
        self._dsn = dsn

    async def invocation(self, key: str, attempts: list[str], *, usd: Decimal, status: str = "completed") -> UUID:
        """With an attempt of each status in `attempts`, each with its cost row unless it is open."""
        identity = await add_invocation(
            self._engine, self._organization, idempotency_key=key, usd_cost=usd, status=status
        )
        for number, attempt in enumerate(attempts, 1):
            cost = None if attempt == "started" else COST
            answer: dict[str, Any] = {"answer": {"choices": []}} if attempt == "succeeded" else {}
            await add_attempt(
                self._engine, self._organization, identity, number=number, status=attempt, usd_cost=cost, **answer
            )
            if cost is not None:
                await self.cost(identity, number)
        return identity

    async def cost(self, invocation_id: UUID, number: int) -> None:
        await add_cost(
            self._engine, self._organization, invocation_id=invocation_id, attempt_number=number, usd_cost=COST
        )

    async def audit(self, **calls: int) -> Audit:
        return await audit(self._dsn, calls)


@pytest.fixture
async def books(database_url: str) -> AsyncIterator[Books]:
    engine = create_engine(database_url, pool_size=2, application_name="customhouse-test")
    organization = await Organizations(engine).ensure("acme", actor="test")
    yield Books(engine, organization.id, libpq_url(database_url))
    await engine.dispose()


async def test_a_crash_that_was_accounted_for_is_no_fault(books: Books) -> None:
    await books.invocation("a", ["unknown", "succeeded"], usd=2 * COST)
    await books.invocation("b", [], usd=Decimal(0), status="failed")
    found = await books.audit(a=2)
    assert (found.invocations, found.attempts, found.settled_attempts, found.unknown_attempts) == (2, 2, 1, 1)
    assert found.calls_beyond_settled == 1
    assert [bar.name for bar in bars(Tally(), found, found) if not bar.is_met] == []


@pytest.mark.parametrize(
    ("attempts", "usd", "status", "calls", "faults"),
    [
        (["succeeded", "succeeded"], 2 * COST, "completed", 2, ["invocations billed for two answers"]),
        (["succeeded"], 2 * COST, "completed", 1, ["ledger drift"]),
        (["succeeded"], COST, "completed", 2, ["provider calls without an attempt"]),
        (["unknown"], COST, "completed", 1, ["completed without an answer (ledger's)"]),
        (["started"], Decimal(0), "failed", 1, ["attempts never settled"]),
        (["succeeded"], COST, "running", 1, ["invocations without an end (ledger's)"]),
    ],
)
async def test_each_fault_is_found(
    books: Books, attempts: list[str], usd: Decimal, status: str, calls: int, faults: list[str]
) -> None:
    await books.invocation("a", attempts, usd=usd, status=status)
    found = await books.audit(a=calls)
    assert [bar.name for bar in bars(Tally(), found, found) if not bar.is_met] == faults


async def test_errors_that_cancel_each_other_out_are_drift_all_the_same(books: Books) -> None:
    await books.invocation("a", ["succeeded"], usd=2 * COST)
    await books.invocation("b", ["succeeded"], usd=Decimal(0))
    assert (await books.audit(a=1, b=1)).drift_usd == 2 * COST


async def test_cost_rows_must_match_attempts_one_to_one(books: Books) -> None:
    identity = await books.invocation("a", ["succeeded"], usd=COST)
    await books.cost(identity, 2)
    found = await books.audit(a=1)
    assert (found.attempts_without_one_cost_row, found.cost_rows_without_attempt) == (0, 1)
    assert found.drift_usd == COST


async def test_calls_of_an_invocation_that_the_ledger_does_not_know_are_unaccounted(books: Books) -> None:
    found = await books.audit(ghost=1)
    assert found.calls_without_attempt == 1


async def test_what_clients_saw_counts_too(books: Books) -> None:
    found = await books.audit()
    tally = Tally(ends=[End("a", Fate.LOST, "", 3), End("b", Fate.WRONG, "", 1)], missed=["x"], replays_that_differ=1)
    assert [bar.name for bar in bars(tally, found, found) if not bar.is_met] == [
        "invocations without an end (clients')",
        "wrong answers",
        "replays that differ",
        "boundaries not hit",
    ]
