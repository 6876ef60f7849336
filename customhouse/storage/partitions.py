"""Monthly partitions of the log tables.

Each table has a DEFAULT partition, so that a row is never refused because nobody made its month in time. Months are
made ahead; where rows of a month already lie in DEFAULT, they move into the month as it is made.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial

from sqlalchemy import Table, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from customhouse.storage.engine import in_transaction, reader
from customhouse.storage.models import Base

MONTHS_AHEAD = 3

_LOCK_KEY = 0x5041_5254
"""Advisory lock that whoever makes partitions holds ("PART" in ASCII)."""

_PARTITIONS = text(
    """
    SELECT parent.relname AS parent, child.relname AS child
    FROM pg_inherits
    JOIN pg_class parent ON parent.oid = inhparent
    JOIN pg_class child ON child.oid = inhrelid
    JOIN pg_partitioned_table ON partrelid = inhparent AND partstrat = 'r'
    WHERE parent.relkind = 'p' AND parent.relnamespace = to_regnamespace(current_schema())
    ORDER BY parent.relname, child.relname
    """
)


def partitioned_tables() -> list[Table]:
    """Every table that is partitioned by month, by name."""
    tables = Base.metadata.tables.values()
    return sorted((t for t in tables if _is_by_month(t)), key=lambda t: t.name)


async def list_partitions(engine: AsyncEngine) -> dict[str, list[str]]:
    """The partitions of each table, `<table>_default` and `<table>_y2026m08`, by name."""
    return await in_transaction(reader(engine), _list)


async def ensure_partitions(engine: AsyncEngine, *, months_ahead: int = MONTHS_AHEAD) -> list[str]:
    """Make what is missing of this month's partitions and those of the `months_ahead` after it; return what was made.

    Two reads where nothing is missing. Otherwise writers of one table at a time wait, for as long as its rows take to
    move out of DEFAULT. May run in several processes at once.
    """
    async with reader(engine).connect() as connection:
        now = (await connection.execute(select(func.now()))).scalar_one()
    months = [_month_after(now, ahead) for ahead in range(months_ahead + 1)]
    existing = await list_partitions(engine)
    made: list[str] = []
    for table in partitioned_tables():
        if all(_name(table.name, month) in existing.get(table.name, ()) for month in months):
            continue
        # A transaction a table: one lock on a log table at a time, and none is held while waiting for the next.
        made += await in_transaction(engine, partial(_make, table=table.name, months=months))
    return made


async def _make(connection: AsyncConnection, *, table: str, months: list[datetime]) -> list[str]:
    await connection.execute(select(func.pg_advisory_xact_lock(_LOCK_KEY)))
    existing = (await _list(connection)).get(table, [])
    missing = [month for month in months if _name(table, month) not in existing]
    if not missing:
        return []
    # Writers wait at the table itself, before a row of theirs is sent to DEFAULT; readers go on until ATTACH.
    await connection.execute(text(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE"))
    for month in missing:
        name, start, end = _name(table, month), month.isoformat(), _month_after(month, 1).isoformat()
        await connection.execute(text(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"))
        # Names and times are computed here, of our own tables: nothing of it comes from outside.
        moved = f"DELETE FROM {table}_default WHERE created_at >= '{start}' AND created_at < '{end}' RETURNING *"  # noqa: S608
        await connection.execute(text(f"WITH moved AS ({moved}) INSERT INTO {name} SELECT * FROM moved"))  # noqa: S608
        await connection.execute(
            text(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{start}') TO ('{end}')")
        )
    return [_name(table, month) for month in missing]


async def _list(connection: AsyncConnection) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in await connection.execute(_PARTITIONS):
        found.setdefault(row.parent, []).append(row.child)
    return found


def _is_by_month(table: Table) -> bool:
    """Prompts' vectors are partitioned, too, but by organization: once and for all."""
    return str(table.dialect_options["postgresql"]["partition_by"] or "").startswith("RANGE")


def _month_after(moment: datetime, months: int) -> datetime:
    """The first moment of the month that is `months` after that of `moment` (which is in UTC, as all of ours)."""
    count = moment.year * 12 + moment.month - 1 + months
    return moment.replace(year=count // 12, month=count % 12 + 1, day=1, hour=0, minute=0, second=0, microsecond=0)


def _name(table: str, month: datetime) -> str:
    return f"{table}_y{month.year:04d}m{month.month:02d}"
