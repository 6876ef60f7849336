from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from customhouse.contracts.errors import UnprocessableField
from customhouse.storage import cost_logs
from customhouse.storage.cost_logs import CostLogFilter, CostLogs, CostSum, Dimension
from customhouse.storage.ids import new_id
from customhouse.storage.pages import PageRequest
from tests.storage.rows import START, add_cost, at

ALL = CostLogFilter()


@pytest.fixture
def costs(engine: AsyncEngine) -> CostLogs:
    return CostLogs(engine)


class TestList:
    async def test_pages_are_newest_first_and_the_organization_s_own(
        self, engine: AsyncEngine, costs: CostLogs, organization: UUID, stranger: UUID
    ) -> None:
        made = [await add_cost(engine, organization, created_at=at(n // 2)) for n in range(7)]
        await add_cost(engine, stranger)
        first = await costs.list_page(organization, ALL, PageRequest.of(4))
        second = await costs.list_page(organization, ALL, PageRequest.of(4, first.next))
        assert second.next is None
        seen = [record.id for record in [*first.data, *second.data]]
        assert seen == sorted(made, key=lambda identity: (made.index(identity) // 2, identity), reverse=True)

    async def test_pages_run_across_partitions(self, engine: AsyncEngine, costs: CostLogs, organization: UUID) -> None:
        async with engine.connect() as connection:
            now: datetime = (await connection.execute(text("SELECT now()"))).scalar_one()
        current, old = [await add_cost(engine, organization, created_at=moment) for moment in (now, START)]
        first = await costs.list_page(organization, ALL, PageRequest.of(1))
        second = await costs.list_page(organization, ALL, PageRequest.of(1, first.next))
        assert [first.data[0].id, second.data[0].id] == [current, old]

    @pytest.mark.parametrize(
        "field",
        ["agent_id", "user_id", "workflow_execution_id", "node_id", "model", "provider", "region"],
    )
    async def test_each_filter_narrows(
        self, engine: AsyncEngine, costs: CostLogs, organization: UUID, field: str
    ) -> None:
        wanted = await add_cost(engine, organization, **{field: "this"})
        await add_cost(engine, organization, **{field: "that"})
        page = await costs.list_page(organization, CostLogFilter.model_validate({field: "this"}), PageRequest.of())
        assert [record.id for record in page.data] == [wanted]

    async def test_the_time_from_is_included_and_to_is_not(
        self, engine: AsyncEngine, costs: CostLogs, organization: UUID
    ) -> None:
        made = [await add_cost(engine, organization, created_at=at(n)) for n in range(4)]
        narrowed = CostLogFilter(created_from=at(1), created_to=at(3))
        page = await costs.list_page(organization, narrowed, PageRequest.of())
        assert [record.id for record in page.data] == [made[2], made[1]]

    async def test_an_unknown_price_is_none_and_not_zero(
        self, engine: AsyncEngine, costs: CostLogs, organization: UUID
    ) -> None:
        await add_cost(engine, organization, usd_cost=None)
        [record] = (await costs.list_page(organization, ALL, PageRequest.of())).data
        assert record.usd_cost is None

    async def test_costs_are_plain_decimals_in_json(
        self, engine: AsyncEngine, costs: CostLogs, organization: UUID
    ) -> None:
        for minute, cost in enumerate(("0", "0.0000000012", "12.5")):
            await add_cost(engine, organization, created_at=at(minute), usd_cost=Decimal(cost))
        page = await costs.list_page(organization, ALL, PageRequest.of())
        written = [record.model_dump(mode="json")["usd_cost"] for record in page.data]
        assert written == ["12.5", "0.0000000012", "0"]

    def test_a_bad_filter_is_refused(self) -> None:
        with pytest.raises(ValidationError):
            CostLogFilter.model_validate({"provider": "p\0"})


class TestSums:
    async def test_by_nothing_is_one_sum_over_all(
        self, engine: AsyncEngine, costs: CostLogs, organization: UUID, stranger: UUID
    ) -> None:
        invocation = new_id()
        await add_cost(engine, organization, invocation_id=invocation, usd_cost=Decimal("0.1"))
        await add_cost(engine, organization, invocation_id=invocation, attempt_number=2, usd_cost=Decimal("0.2"))
        await add_cost(engine, organization, usd_cost=None, tokens_input=7, tokens_output=0)
        await add_cost(engine, stranger, usd_cost=Decimal(99))
        assert await costs.sums(organization, ALL, []) == [
            CostSum(
                group={},
                attempts=3,
                invocations=2,
                tokens_input=27,
                tokens_output=10,
                usd_cost=Decimal("0.3"),
                unpriced=1,
            )
        ]

    async def test_by_nothing_over_nothing_is_a_sum_of_nothing(self, costs: CostLogs, organization: UUID) -> None:
        [total] = await costs.sums(organization, ALL, [])
        assert (total.attempts, total.tokens_input, total.usd_cost, total.unpriced) == (0, 0, None, 0)
        assert await costs.sums(organization, ALL, [Dimension.MODEL]) == []

    async def test_a_group_without_any_known_price_has_no_cost(
        self, engine: AsyncEngine, costs: CostLogs, organization: UUID
    ) -> None:
        await add_cost(engine, organization, model="priced", usd_cost=Decimal(0))
        await add_cost(engine, organization, model="unpriced", usd_cost=None)
        sums = await costs.sums(organization, ALL, [Dimension.MODEL])
        assert [(s.group[Dimension.MODEL], s.usd_cost, s.unpriced) for s in sums] == [
            ("priced", Decimal(0), 0),
            ("unpriced", None, 1),
        ]

    async def test_the_dearest_stands_first(self, engine: AsyncEngine, costs: CostLogs, organization: UUID) -> None:
        for agent, cost in (("cheap", "0.01"), ("dear", "5"), (None, "1")):
            await add_cost(engine, organization, agent_id=agent, usd_cost=Decimal(cost))
        sums = await costs.sums(organization, ALL, [Dimension.AGENT_ID])
        assert [s.group[Dimension.AGENT_ID] for s in sums] == ["dear", None, "cheap"]

    @pytest.mark.parametrize("dimension", [d for d in Dimension if d not in (Dimension.DAY, Dimension.HOUR)])
    async def test_by_each_dimension(
        self, engine: AsyncEngine, costs: CostLogs, organization: UUID, dimension: Dimension
    ) -> None:
        for value, times in (("this", 2), ("that", 1)):
            for _ in range(times):
                await add_cost(engine, organization, **{dimension.value: value})
        sums = await costs.sums(organization, ALL, [dimension])
        assert [(s.group, s.attempts) for s in sums] == [({dimension: "this"}, 2), ({dimension: "that"}, 1)]

    async def test_by_several_and_narrowed(self, engine: AsyncEngine, costs: CostLogs, organization: UUID) -> None:
        for node, model in (("draft", "a"), ("draft", "b"), ("draft", "a"), ("check", "a")):
            await add_cost(engine, organization, node_id=node, model=model, workflow_execution_id="run-1")
        await add_cost(engine, organization, node_id="draft", model="a", workflow_execution_id="run-2")
        sums = await costs.sums(
            organization,
            CostLogFilter(workflow_execution_id="run-1"),
            [Dimension.NODE_ID, Dimension.MODEL, Dimension.NODE_ID],
        )
        assert {(s.group[Dimension.NODE_ID], s.group[Dimension.MODEL]): s.attempts for s in sums} == {
            ("draft", "a"): 2,
            ("draft", "b"): 1,
            ("check", "a"): 1,
        }

    async def test_days_and_hours_are_utc(self, engine: AsyncEngine, costs: CostLogs, organization: UUID) -> None:
        late, early = datetime(2026, 8, 3, 23, 59, 59, tzinfo=UTC), datetime(2026, 8, 4, 0, 0, tzinfo=UTC)
        await add_cost(engine, organization, created_at=late, usd_cost=Decimal(2))
        await add_cost(engine, organization, created_at=early, usd_cost=Decimal(1))
        days = await costs.sums(organization, ALL, [Dimension.DAY])
        assert [s.group[Dimension.DAY] for s in days] == [datetime(2026, 8, 3, tzinfo=UTC), early]
        hours = await costs.sums(organization, ALL, [Dimension.HOUR])
        assert [s.group[Dimension.HOUR] for s in hours] == [datetime(2026, 8, 3, 23, tzinfo=UTC), early]

    async def test_too_many_groups_are_refused_and_never_cut_off(
        self, engine: AsyncEngine, costs: CostLogs, organization: UUID, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cost_logs, "MOST_SUMS", 3)
        for n in range(3):
            await add_cost(engine, organization, user_id=f"u{n}")
        assert len(await costs.sums(organization, ALL, [Dimension.USER_ID])) == 3
        await add_cost(engine, organization, user_id="u3")
        with pytest.raises(UnprocessableField) as caught:
            await costs.sums(organization, ALL, [Dimension.USER_ID])
        assert caught.value.param == "group_by"
