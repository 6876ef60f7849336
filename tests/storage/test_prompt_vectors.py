"""Prompts as vectors in Postgres: written with the decision, found by nearness, moved into the index, aged out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from customhouse.contracts.identity import workflow_id
from customhouse.contracts.invocation import InvocationInput
from customhouse.contracts.timing import STATEMENT_TIMEOUT
from customhouse.governance.similarity.embedder import DIMENSIONS, Vector, unit
from customhouse.governance.similarity.packing import packed
from customhouse.storage import prompt_index
from customhouse.storage.ids import new_id
from customhouse.storage.ledger import Ledger
from customhouse.storage.models import BlockedPrompt, PromptSimLog, PromptVector, StagedPrompt
from customhouse.storage.prompt_index import PromptIndex
from customhouse.storage.prompt_vectors import SEARCH_SETTINGS, PromptVectors
from customhouse.storage.similarity_rows import SimilarityRow
from customhouse.storage.statements import Statements
from tests.storage.ledger_cases import OPENING, a_decision, an_invocation

NOBODY = UUID(int=0)
AT_ONCE = timedelta(0)


def near(number: int, tilt: float = 0.0) -> Vector:
    """Vectors of different numbers are strangers; a tilt makes a copy."""
    vector = np.random.default_rng(number).standard_normal(DIMENSIONS).astype(np.float32)
    vector += tilt * np.random.default_rng(number + 1_000).standard_normal(DIMENSIONS).astype(np.float32)
    return unit(vector)


def a_row(number: int, **changes: Any) -> SimilarityRow:
    return replace(SimilarityRow(f"hash-{number}", packed(near(number)), threshold=0.93), **changes)


@pytest.fixture
async def statements(storage_url: str) -> AsyncIterator[Statements]:
    async with Statements(storage_url, size=2, application_name="test") as opened:
        yield opened


@pytest.fixture
def ledger(statements: Statements) -> Ledger:
    return Ledger(statements)


@pytest.fixture
async def prompts(engine: AsyncEngine, storage_url: str) -> AsyncIterator[PromptVectors]:
    # The time-out of the product is a matter of milliseconds, which a busy machine may not have.
    async with Statements(
        storage_url, size=2, application_name="test", statement_timeout=STATEMENT_TIMEOUT, parameters=SEARCH_SETTINGS
    ) as searching:
        yield PromptVectors(engine, searching)


async def cleared(ledger: Ledger, organization: UUID, row: SimilarityRow | None, **changes: Any) -> InvocationInput:
    invocation = an_invocation(organization, **changes)
    identity = workflow_id(organization, invocation.idempotency_key)
    await ledger.clear(invocation, identity, a_decision(invocation), None, OPENING, row)
    return invocation


async def rows_of(engine: AsyncEngine, table: Any, organization: UUID) -> list[Any]:
    async with engine.connect() as connection:
        asked = select(table.__table__).where(table.organization_id == organization).order_by(table.created_at)
        return list((await connection.execute(asked)).all())


async def indexed(engine: AsyncEngine, organization: UUID, number: int, **values: Any) -> UUID:
    row = {
        "id": new_id(),
        "organization_id": organization,
        "prompt_hash": f"hash-{number}",
        "vector": near(number).tolist(),
        **values,
    }
    async with engine.begin() as connection:
        await connection.execute(insert(PromptVector), row)
    return UUID(str(row["id"]))


class TestWrittenWithTheDecision:
    @pytest.mark.parametrize("first", [None, OPENING])
    async def test_a_row_and_the_vector(
        self, engine: AsyncEngine, ledger: Ledger, organization: UUID, first: Any
    ) -> None:
        invocation = an_invocation(organization)
        matched = new_id()
        row = a_row(1, similarity_score=0.97, matched_prompt_hash="hash-0", matched_invocation_id=matched)
        identity = workflow_id(organization, invocation.idempotency_key)
        await ledger.clear(invocation, identity, a_decision(invocation), None, first, row)
        (logged,) = await rows_of(engine, PromptSimLog, organization)
        assert (logged.invocation_id, logged.prompt_hash, logged.similarity_score) == (
            invocation.invocation_id,
            "hash-1",
            0.97,
        )
        assert (logged.matched_prompt_hash, logged.matched_invocation_id) == ("hash-0", matched)
        assert (logged.threshold, logged.blocked, logged.agent_id) == (0.93, False, "agent")
        (staged,) = await rows_of(engine, StagedPrompt, organization)
        assert (staged.id, staged.vector, staged.agent_id) == (invocation.invocation_id, packed(near(1)), "agent")
        assert await rows_of(engine, BlockedPrompt, organization) == []

    async def test_what_was_blocked_for_what_it_asks_is_kept_apart(
        self, engine: AsyncEngine, ledger: Ledger, organization: UUID
    ) -> None:
        for_itself = await cleared(ledger, organization, a_row(1, blocked=True, is_abuse=True))
        await cleared(ledger, organization, a_row(2, blocked=True))
        assert [row.blocked for row in await rows_of(engine, PromptSimLog, organization)] == [True, True]
        (kept,) = await rows_of(engine, BlockedPrompt, organization)
        assert (kept.id, kept.is_blocked) == (for_itself.invocation_id, True)

    async def test_a_prompt_without_text_has_a_row_and_no_vector(
        self, engine: AsyncEngine, ledger: Ledger, organization: UUID
    ) -> None:
        await cleared(ledger, organization, a_row(1, vector=None))
        assert len(await rows_of(engine, PromptSimLog, organization)) == 1
        assert await rows_of(engine, StagedPrompt, organization) == []

    async def test_where_nobody_looked_there_is_no_row(
        self, engine: AsyncEngine, ledger: Ledger, organization: UUID
    ) -> None:
        await cleared(ledger, organization, None)
        assert await rows_of(engine, PromptSimLog, organization) == []

    async def test_once_however_often_it_is_cleared(
        self, engine: AsyncEngine, ledger: Ledger, organization: UUID
    ) -> None:
        invocation = an_invocation(organization)
        identity = workflow_id(organization, invocation.idempotency_key)
        for prompt_tokens in (1, 2):  # a decision made anew is never quite the same
            decision = a_decision(invocation, prompt_tokens=prompt_tokens)
            await ledger.clear(invocation, identity, decision, None, OPENING, a_row(1, is_abuse=True))
        for table in (PromptSimLog, StagedPrompt, BlockedPrompt):
            assert len(await rows_of(engine, table, organization)) == 1


class TestNearest:
    async def test_the_nearest_of_the_organization(
        self, engine: AsyncEngine, prompts: PromptVectors, organization: UUID, stranger: UUID
    ) -> None:
        copied, *_ = [await indexed(engine, organization, number) for number in (1, 2, 3)]
        await indexed(engine, stranger, 1)
        match = await prompts.nearest(organization, near(1, 0.2), other_than=NOBODY)
        assert match is not None
        assert match.invocation_id == copied
        assert match.score == pytest.approx(float(near(1) @ near(1, 0.2)), abs=2e-3)

    async def test_another_organization_s_prompt_is_never_found(
        self, engine: AsyncEngine, prompts: PromptVectors, organization: UUID, stranger: UUID
    ) -> None:
        await indexed(engine, stranger, 1)
        assert await prompts.nearest(organization, near(1), other_than=NOBODY) is None

    async def test_the_prompt_itself_is_not_found(
        self, engine: AsyncEngine, prompts: PromptVectors, organization: UUID
    ) -> None:
        own = await indexed(engine, organization, 1)
        assert await prompts.nearest(organization, near(1), other_than=own) is None


class TestChanges:
    async def test_the_latest_and_the_blocked_are_read(
        self, ledger: Ledger, prompts: PromptVectors, organization: UUID, stranger: UUID
    ) -> None:
        made = [await cleared(ledger, organization, a_row(n, is_abuse=n == 2, blocked=n == 2)) for n in (1, 2, 3)]
        await cleared(ledger, stranger, a_row(4))
        latest = await prompts.latest(organization, 2)
        assert [each.seen.invocation_id for each in latest] == [each.invocation_id for each in made[1:]]
        assert latest[0].seen.blocked
        assert latest[0].vector @ near(2) == pytest.approx(1, abs=1e-3)
        (blocked,) = await prompts.blocked(organization, 10)
        assert blocked.seen.invocation_id == made[1].invocation_id

    async def test_what_is_in_the_index_is_read_after_what_is_not(
        self, engine: AsyncEngine, ledger: Ledger, prompts: PromptVectors, organization: UUID
    ) -> None:
        old = [await indexed(engine, organization, n, created_at=datetime(2025, 1, n, tzinfo=UTC)) for n in (1, 2)]
        new = await cleared(ledger, organization, a_row(3))
        latest = await prompts.latest(organization, 2)
        assert [each.seen.invocation_id for each in latest] == [old[1], new.invocation_id]
        assert latest[0].vector @ near(2) == pytest.approx(1, abs=1e-3)
        changes = await prompts.changes([organization], datetime(2025, 1, 1, 12, tzinfo=UTC), AT_ONCE)
        assert [each.seen.invocation_id for _, each in changes.latest] == [old[1], new.invocation_id]

    async def test_what_came_since_is_told_and_what_was_forgiven(
        self, ledger: Ledger, prompts: PromptVectors, organization: UUID
    ) -> None:
        await cleared(ledger, organization, a_row(1, is_abuse=True))
        before = await prompts.now()
        second = await cleared(ledger, organization, a_row(2))
        (freed,) = await prompts.forgive(organization, "hash-1")
        changes = await prompts.changes([organization], before, AT_ONCE)
        assert [each.seen.invocation_id for _, each in changes.latest] == [second.invocation_id]
        ((_, forgiven),) = changes.blocked
        assert (forgiven.seen.invocation_id, forgiven.seen.blocked) == (freed, False)
        assert await prompts.blocked(organization, 10) == []
        assert await prompts.forgive(organization, "hash-1") == []

    async def test_a_prompt_is_condemned_after_it_was_let_through(
        self, engine: AsyncEngine, ledger: Ledger, prompts: PromptVectors, organization: UUID
    ) -> None:
        invocation = await cleared(ledger, organization, a_row(1))
        for _ in range(2):
            await prompts.condemn(organization, invocation.invocation_id, "hash-1", near(1))
        (blocked,) = await prompts.blocked(organization, 10)
        assert blocked.seen.invocation_id == invocation.invocation_id
        assert (await prompts.latest(organization, 1))[0].seen.blocked
        assert [row.blocked for row in await rows_of(engine, PromptSimLog, organization)] == [True]


class TestIndex:
    @pytest.fixture
    async def fresh_ledger(self, database_url: str) -> AsyncIterator[Ledger]:
        async with Statements(database_url, size=2, application_name="test") as opened:
            yield Ledger(opened)

    @pytest.fixture
    async def own(self, fresh_engine: AsyncEngine) -> UUID:
        from customhouse.storage.organizations import Organizations

        return (await Organizations(fresh_engine).ensure("own", actor="test")).id

    async def test_staged_prompts_move_and_exact_copies_stand_once(
        self, fresh_engine: AsyncEngine, fresh_ledger: Ledger, own: UUID
    ) -> None:
        index = PromptIndex(fresh_engine)
        for number in (1, 1, 2):
            await cleared(fresh_ledger, own, a_row(number))
        assert await index.move(2, settled=AT_ONCE) == 2
        assert len(await rows_of(fresh_engine, StagedPrompt, own)) == 1
        await cleared(fresh_ledger, own, a_row(1))
        assert await index.move(9, settled=AT_ONCE) == 2
        assert await index.move(9, settled=AT_ONCE) == 0
        moved = await rows_of(fresh_engine, PromptVector, own)
        assert [row.prompt_hash for row in moved] == ["hash-1", "hash-2"]
        assert unit(np.array(moved[1].vector, np.float32)) @ near(2) == pytest.approx(1, abs=1e-3)

    async def test_the_youngest_wait(self, fresh_engine: AsyncEngine, fresh_ledger: Ledger, own: UUID) -> None:
        await cleared(fresh_ledger, own, a_row(1))
        assert await PromptIndex(fresh_engine).move(9, settled=timedelta(hours=1)) == 0

    async def test_one_process_at_a_time(self, fresh_engine: AsyncEngine, fresh_ledger: Ledger, own: UUID) -> None:
        await cleared(fresh_ledger, own, a_row(1))
        index = PromptIndex(fresh_engine)
        async with fresh_engine.begin() as other:
            await other.execute(text("SELECT pg_advisory_xact_lock(x'50524f4d'::int)"))
            assert await index.move(9, settled=AT_ONCE) == 0
        assert await index.move(9, settled=AT_ONCE) == 1

    async def test_what_is_old_goes(
        self, fresh_engine: AsyncEngine, own: UUID, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(prompt_index, "DELETED_AT_ONCE", 2)
        long_ago = datetime(2025, 1, 2, tzinfo=UTC)
        for number in range(5):
            await indexed(fresh_engine, own, number, created_at=long_ago)
        kept = await indexed(fresh_engine, own, 9)
        async with fresh_engine.begin() as connection:
            for number, created_at in ((1, long_ago), (2, datetime.now(UTC))):
                values = {"id": new_id(), "organization_id": own, "created_at": created_at}
                values |= {"prompt_hash": f"hash-{number}", "vector": packed(near(1))}
                await connection.execute(insert(BlockedPrompt), values)
        index = PromptIndex(fresh_engine)
        assert await index.age_out(timedelta(days=90)) == 5
        assert await index.age_out(timedelta(days=90)) == 0
        assert [row.id for row in await rows_of(fresh_engine, PromptVector, own)] == [kept]
        assert [row.prompt_hash for row in await rows_of(fresh_engine, BlockedPrompt, own)] == ["hash-2"]
