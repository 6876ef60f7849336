from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from customhouse.storage.ids import new_id
from customhouse.storage.models import PromptSimLog
from customhouse.storage.pages import PageRequest
from customhouse.storage.similarity_logs import SimilarityLogFilter, SimilarityLogs
from tests.storage.rows import START, add_cost, at

ALL = SimilarityLogFilter()
HASHES = [f"{number:064x}" for number in range(4)]


@pytest.fixture
def logs(engine: AsyncEngine) -> SimilarityLogs:
    return SimilarityLogs(engine)


async def add_row(engine: AsyncEngine, organization_id: UUID, **values: Any) -> UUID:
    row = {
        "id": new_id(),
        "created_at": START,
        "organization_id": organization_id,
        "invocation_id": new_id(),
        "prompt_hash": HASHES[0],
        "threshold": 0.93,
        **values,
    }
    async with engine.begin() as connection:
        await connection.execute(insert(PromptSimLog), row)
    return UUID(str(row["id"]))


class TestList:
    async def test_pages_are_newest_first_and_the_organization_s_own(
        self, engine: AsyncEngine, logs: SimilarityLogs, organization: UUID, stranger: UUID
    ) -> None:
        made = [await add_row(engine, organization, created_at=at(n)) for n in range(5)]
        await add_row(engine, stranger)
        first = await logs.list_page(organization, ALL, PageRequest.of(3))
        second = await logs.list_page(organization, ALL, PageRequest.of(3, first.next))
        assert second.next is None
        assert [record.id for record in [*first.data, *second.data]] == made[::-1]

    @pytest.mark.parametrize(
        ("narrowed", "this", "that"),
        [
            ({"agent_id": "a"}, {"agent_id": "a"}, {"agent_id": "b"}),
            ({"user_id": "u"}, {"user_id": "u"}, {}),
            ({"blocked": "true"}, {"blocked": True}, {}),
            ({"blocked": "false"}, {}, {"blocked": True}),
            ({"min_score": "0.9"}, {"similarity_score": 0.9}, {"similarity_score": 0.89}),
            ({"min_score": "-1"}, {"similarity_score": 0.1}, {"similarity_score": None}),
            ({"near_copies": "true"}, {"similarity_score": 0.93}, {"similarity_score": 0.92}),
            ({"near_copies": "false"}, {"similarity_score": None}, {"similarity_score": 0.99}),
            ({"prompt_hash": HASHES[1]}, {"prompt_hash": HASHES[1]}, {}),
            ({"prompt_hash": HASHES[1]}, {"matched_prompt_hash": HASHES[1]}, {"matched_prompt_hash": HASHES[2]}),
            ({"created_from": "2026-08-03T10:31:00Z"}, {"created_at": at(1)}, {"created_at": at(0)}),
            ({"created_to": "2026-08-03T10:31:00Z"}, {"created_at": at(0)}, {"created_at": at(1)}),
        ],
    )
    async def test_each_filter_narrows(
        self,
        engine: AsyncEngine,
        logs: SimilarityLogs,
        organization: UUID,
        narrowed: dict[str, str],
        this: dict[str, Any],
        that: dict[str, Any],
    ) -> None:
        wanted = await add_row(engine, organization, **this)
        await add_row(engine, organization, **that)
        page = await logs.list_page(organization, SimilarityLogFilter.model_validate(narrowed), PageRequest.of())
        assert [record.id for record in page.data] == [wanted]


class TestSavings:
    async def test_copies_are_summed_by_what_their_attempts_cost(
        self, engine: AsyncEngine, logs: SimilarityLogs, organization: UUID, stranger: UUID
    ) -> None:
        kinds: list[dict[str, Any]] = [
            {},  # new
            {"similarity_score": 0.5, "matched_prompt_hash": HASHES[1]},  # new
            {"similarity_score": 1.0, "matched_prompt_hash": HASHES[0]},  # exact
            {"similarity_score": 0.95, "matched_prompt_hash": HASHES[1]},  # near
            {"similarity_score": 0.99, "matched_prompt_hash": HASHES[2]},  # near, without a price
        ]
        for number, kind in enumerate(kinds):
            invocation = new_id()
            await add_row(engine, organization, invocation_id=invocation, **kind)
            for attempt in (1, 2):
                usd = None if number == 4 else Decimal(10**number) / 1000
                await add_cost(engine, organization, invocation_id=invocation, attempt_number=attempt, usd_cost=usd)
        other = new_id()
        await add_row(engine, stranger, invocation_id=other, **kinds[2])
        await add_cost(engine, stranger, invocation_id=other)
        found = await logs.savings(organization, ALL)
        assert (found.invocations, found.exact_copies, found.near_copies) == (5, 1, 2)
        assert found.usd_cost == Decimal("2.222")
        assert found.exact_copies_usd == Decimal("0.2")
        assert found.near_copies_usd == Decimal("2")

    async def test_nothing_is_no_price(self, logs: SimilarityLogs, organization: UUID) -> None:
        found = await logs.savings(organization, ALL)
        assert (found.invocations, found.usd_cost) == (0, None)
