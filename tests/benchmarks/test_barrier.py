"""The barrier that holds a step at its commit, on a real Postgres."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from benchmarks.chaos.barrier import barrier
from customhouse.storage.engine import libpq_url

INSERT = "INSERT INTO organizations (id, name) VALUES (gen_random_uuid(), 'held')"
COUNT = "SELECT count(*) FROM organizations"


async def test_what_waits_commits_once_the_barrier_is_gone(database_url: str) -> None:
    dsn = libpq_url(database_url)
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as writer:
        async with barrier(dsn) as held:
            await held.hold_table("organizations")
            writing = asyncio.create_task(writer.execute(INSERT))
            assert await held.has_waiters()
            assert not writing.done()
        await writing
        assert await _count(writer) == 1


async def test_what_is_ended_while_it_waits_never_commits(database_url: str) -> None:
    dsn = libpq_url(database_url)
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as writer:
        async with barrier(dsn) as held:
            await held.hold_table("organizations")
            writing = asyncio.create_task(writer.execute(INSERT))
            assert await held.has_waiters()
            await held.end_waiters()
        with pytest.raises(psycopg.OperationalError):
            await writing
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as reader:
        assert await _count(reader) == 0


async def _count(connection: psycopg.AsyncConnection) -> int:
    row = await (await connection.execute(COUNT)).fetchone()
    return 0 if row is None else int(row[0])
