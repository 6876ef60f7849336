from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from customhouse.contracts.governance import Verdict
from customhouse.contracts.invocation import AttemptStatus, InvocationResult, InvocationStatus
from customhouse.storage.ids import new_id
from customhouse.storage.invocations import InvocationFilter, Invocations
from customhouse.storage.pages import PageRequest
from tests.storage.rows import START, add_attempt, add_invocation, at

ANSWER = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
}


@pytest.fixture
def invocations(engine: AsyncEngine) -> Invocations:
    return Invocations(engine)


def result_of(invocation_id: UUID, status: InvocationStatus) -> dict[str, Any]:
    result = InvocationResult(
        invocation_id=invocation_id,
        organization_id=new_id(),
        trace_id=invocation_id.hex,
        status=status,
        verdict=Verdict.ALLOW,
        policy_version="builtin-1",
        usd_cost=Decimal("0.0012"),
        attempts=1,
    )
    return result.model_dump(mode="json", exclude={"answer"})


class TestGet:
    async def test_one_with_its_attempts(
        self, engine: AsyncEngine, invocations: Invocations, organization: UUID
    ) -> None:
        identity = await add_invocation(
            engine,
            organization,
            agent_id="planner",
            labels={"team": "a"},
            request={"model": "m"},
            usd_cost=Decimal("0.0000000001"),
            error={"code": "c", "message": "m", "status": 502},
        )
        await add_attempt(engine, organization, identity, number=2, answer=ANSWER, usd_cost=Decimal("0.25"))
        await add_attempt(
            engine,
            organization,
            identity,
            number=1,
            status="failed",
            error={"code": "provider_error", "message": "503", "status": 502, "kind": "retryable"},
        )
        detail = await invocations.get(organization, identity)
        assert detail is not None
        assert detail.agent_id == "planner"
        assert detail.labels == {"team": "a"}
        assert detail.request == {"model": "m"}
        assert detail.usd_cost == Decimal("0.0000000001")
        assert detail.error is not None
        assert detail.error.code == "c"
        assert detail.created_at == START
        assert [(a.number, a.status) for a in detail.attempts] == [
            (1, AttemptStatus.FAILED),
            (2, AttemptStatus.SUCCEEDED),
        ]
        assert detail.attempts[1].answer == ANSWER
        assert detail.attempts[1].usd_cost == Decimal("0.25")

    async def test_none_for_a_stranger_s_and_an_unknown_one(
        self, engine: AsyncEngine, invocations: Invocations, organization: UUID, stranger: UUID
    ) -> None:
        identity = await add_invocation(engine, organization)
        assert await invocations.get(stranger, identity) is None
        assert await invocations.get(organization, new_id()) is None


class TestResult:
    async def test_the_last_succeeded_attempt_answers(
        self, engine: AsyncEngine, invocations: Invocations, organization: UUID
    ) -> None:
        identity = new_id()
        await add_invocation(engine, organization, id=identity, result=result_of(identity, InvocationStatus.COMPLETED))
        await add_attempt(engine, organization, identity, number=1, answer={**ANSWER, "id": "to-be-repaired"})
        await add_attempt(engine, organization, identity, number=2, answer=ANSWER)
        await add_attempt(engine, organization, identity, number=3, status="failed", answer=None)
        result = await invocations.result(organization, identity)
        assert result is not None
        assert result.answer is not None
        assert result.answer.id == "c1"
        assert result.usd_cost == Decimal("0.0012")

    async def test_a_blocked_answer_is_not_handed_out(
        self, engine: AsyncEngine, invocations: Invocations, organization: UUID
    ) -> None:
        identity = new_id()
        result = result_of(identity, InvocationStatus.BLOCKED)
        await add_invocation(engine, organization, id=identity, status="blocked", result=result)
        await add_attempt(engine, organization, identity, answer=ANSWER)
        blocked = await invocations.result(organization, identity)
        assert blocked is not None
        assert blocked.answer is None

    async def test_none_while_it_runs_and_for_a_stranger(
        self, engine: AsyncEngine, invocations: Invocations, organization: UUID, stranger: UUID
    ) -> None:
        running = await add_invocation(engine, organization, status="running")
        assert await invocations.result(organization, running) is None
        done = new_id()
        await add_invocation(engine, organization, id=done, result=result_of(done, InvocationStatus.COMPLETED))
        assert await invocations.result(stranger, done) is None


class TestList:
    async def test_pages_are_newest_first_and_meet_without_gap_or_overlap(
        self, engine: AsyncEngine, invocations: Invocations, organization: UUID, stranger: UUID
    ) -> None:
        # Five moments with three invocations each: a page may end amid rows of one moment.
        made = [await add_invocation(engine, organization, created_at=at(n // 3)) for n in range(15)]
        await add_invocation(engine, stranger)
        seen: list[UUID] = []
        cursor = None
        while True:
            page = await invocations.list_page(organization, InvocationFilter(), PageRequest.of(4, cursor))
            seen += [item.id for item in page.data]
            if len(seen) == 4:  # what comes in meanwhile stands before the first page, and shifts nothing
                await add_invocation(engine, organization, created_at=at(60))
            if page.next is None:
                break
            assert len(page.data) == 4
            cursor = page.next
        assert set(seen) == set(made)
        assert len(seen) == 15
        assert seen == sorted(made, key=lambda identity: (made.index(identity) // 3, identity), reverse=True)

    async def test_a_last_page_that_is_full_has_no_next(
        self, engine: AsyncEngine, invocations: Invocations, organization: UUID
    ) -> None:
        for _ in range(2):
            await add_invocation(engine, organization)
        page = await invocations.list_page(organization, InvocationFilter(), PageRequest.of(2))
        assert len(page.data) == 2
        assert page.next is None

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("agent_id", "planner"),
            ("user_id", "ann"),
            ("workflow_execution_id", "run-1"),
            ("node_id", "draft"),
            ("model", "other"),
            ("status", "failed"),
            ("verdict", "redact"),
        ],
    )
    async def test_each_filter_narrows(
        self, engine: AsyncEngine, invocations: Invocations, organization: UUID, field: str, value: str
    ) -> None:
        wanted = await add_invocation(engine, organization, **{field: value})
        await add_invocation(engine, organization)
        narrowed = InvocationFilter.model_validate({field: value})
        page = await invocations.list_page(organization, narrowed, PageRequest.of())
        assert [item.id for item in page.data] == [wanted]

    async def test_the_time_from_is_included_and_to_is_not(
        self, engine: AsyncEngine, invocations: Invocations, organization: UUID
    ) -> None:
        made = [await add_invocation(engine, organization, created_at=at(n)) for n in range(4)]
        narrowed = InvocationFilter(created_from=at(1), created_to=at(3))
        page = await invocations.list_page(organization, narrowed, PageRequest.of())
        assert [item.id for item in page.data] == [made[2], made[1]]

    @pytest.mark.parametrize(
        "values",
        [
            {"agent_id": ""},
            {"agent_id": "a\0"},
            {"model": "x" * 257},
            {"status": "done"},
            {"colour": "red"},
            {"created_from": START.replace(tzinfo=None)},
        ],
    )
    def test_a_bad_filter_is_refused(self, values: dict[str, object]) -> None:
        with pytest.raises(ValidationError):
            InvocationFilter.model_validate(values)


async def test_lists_are_read_from_an_index(engine: AsyncEngine, organization: UUID) -> None:
    """The plan for a table that is worth an index: sequential scans are ruled out, sorting is not."""
    async with engine.connect() as connection:
        await connection.execute(text("SET enable_seqscan = off"))
        for condition in ("true", "agent_id = 'a'", "user_id = 'u'", "workflow_execution_id = 'w'"):
            plan = await connection.execute(
                text(
                    f"EXPLAIN SELECT id FROM invocations WHERE organization_id = :org AND {condition} "
                    "AND (created_at, id) < (:at, :id) ORDER BY created_at DESC, id DESC LIMIT 51"
                ),
                {"org": organization, "at": START + timedelta(days=1), "id": new_id()},
            )
            lines = "\n".join(plan.scalars())
            assert "Index" in lines
            assert "Sort" not in lines, lines
