from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from customhouse.storage.ids import new_id
from customhouse.storage.models import ModelCostLog, TraceSpan
from customhouse.storage.partitions import ensure_partitions, list_partitions, partitioned_tables
from tests.storage.rows import add_cost

ORGANIZATION = UUID(int=1)


async def months_of(engine: AsyncEngine, count: int) -> list[datetime]:
    async with engine.connect() as connection:
        now = (await connection.execute(select(func.now()))).scalar_one()
    first = now.year * 12 + now.month - 1
    return [datetime(n // 12, n % 12 + 1, 1, tzinfo=UTC) for n in range(first, first + count)]


async def add_span(engine: AsyncEngine, created_at: datetime) -> None:
    """Its id comes from the parent's identity, which partitions do not have by themselves."""
    async with engine.begin() as connection:
        await connection.execute(
            insert(TraceSpan),
            {
                "organization_id": ORGANIZATION,
                "invocation_id": new_id(),
                "name": "call",
                "started_at": created_at,
                "duration_ms": 2.0,
                "created_at": created_at,
            },
        )


async def test_nothing_is_made_where_nothing_is_missing(fresh_engine: AsyncEngine) -> None:
    assert await ensure_partitions(fresh_engine) == []


async def test_missing_months_are_made_once_even_by_many_at_once(fresh_engine: AsyncEngine) -> None:
    made = await asyncio.gather(*(ensure_partitions(fresh_engine, months_ahead=6) for _ in range(3)))
    assert sum(map(len, made)) == 3 * len(partitioned_tables())
    partitions = await list_partitions(fresh_engine)
    assert {len(names) for names in partitions.values()} == {8}
    assert set(partitions) == {table.name for table in partitioned_tables()}


async def test_rows_in_default_move_into_the_month_that_is_made(fresh_engine: AsyncEngine) -> None:
    months = await months_of(fresh_engine, 7)
    late = [await add_cost(fresh_engine, ORGANIZATION, created_at=months[5]) for _ in range(3)]
    later = await add_cost(fresh_engine, ORGANIZATION, created_at=months[6])
    await add_span(fresh_engine, months[5])
    await ensure_partitions(fresh_engine, months_ahead=5)
    name = f"y{months[5].year}m{months[5].month:02d}"
    async with fresh_engine.connect() as connection:
        moved = await connection.execute(text(f"SELECT id FROM model_cost_logs_{name}"))
        assert sorted(moved.scalars()) == sorted(late)
        left = await connection.execute(text("SELECT id FROM model_cost_logs_default"))
        assert left.scalars().all() == [later]
        everything = await connection.execute(select(func.count()).select_from(ModelCostLog))
        assert everything.scalar_one() == 4
        spans = await connection.execute(text(f"SELECT count(*) FROM trace_spans_{name}"))
        assert spans.scalar_one() == 1


async def test_a_new_month_has_the_table_s_indexes_and_takes_rows(fresh_engine: AsyncEngine) -> None:
    await ensure_partitions(fresh_engine, months_ahead=4)
    month = (await months_of(fresh_engine, 5))[4]
    identity = await add_cost(fresh_engine, ORGANIZATION, created_at=month)
    async with fresh_engine.connect() as connection:
        place = select(text("tableoid::regclass::text")).select_from(ModelCostLog).where(ModelCostLog.id == identity)
        child = (await connection.execute(place)).scalar_one()
        assert child == f"model_cost_logs_y{month.year}m{month.month:02d}"
        indexes = text("SELECT count(*) FROM pg_indexes WHERE tablename = :name")
        of_child = (await connection.execute(indexes, {"name": child})).scalar_one()
        assert of_child == (await connection.execute(indexes, {"name": "model_cost_logs"})).scalar_one()
    await add_span(fresh_engine, month)


async def test_rows_written_while_months_are_made_are_all_kept(fresh_engine: AsyncEngine) -> None:
    month = (await months_of(fresh_engine, 6))[5]
    for _ in range(20):
        await add_cost(fresh_engine, ORGANIZATION, created_at=month)
    writers = [add_cost(fresh_engine, ORGANIZATION, created_at=month) for _ in range(40)]
    await asyncio.gather(ensure_partitions(fresh_engine, months_ahead=5), *writers)
    async with fresh_engine.connect() as connection:
        count = await connection.execute(select(func.count()).select_from(ModelCostLog))
        assert count.scalar_one() == 60
        stray = await connection.execute(text("SELECT count(*) FROM model_cost_logs_default"))
        assert stray.scalar_one() == 0
