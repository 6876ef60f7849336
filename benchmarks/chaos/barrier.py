"""Holds a step of the product at its commit, from a second connection, with an ordinary lock that its statement needs.

The product is not changed for it: to its statement this looks like any other session that was there first.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from psycopg import sql
from psycopg.rows import scalar_row

POLL_S = 0.001
"""The step from `accepted` to `clear` takes about 5 ms."""

PATIENCE_S = 3.0
"""For a statement to come and wait. Product statements give a lock up after 5 s."""

GATHER_S = 0.3
"""For others to come to the same boundary, so that one kill meets several of them there."""


class Barrier:
    """A lock that is held, and whoever waits for it."""

    def __init__(self, holder: psycopg.AsyncConnection, observer: psycopg.AsyncConnection) -> None:
        self._holder = holder
        self._observer = observer

    async def hold_table(self, table: str) -> None:
        """Keep everybody from writing to the table; reading goes on."""
        await self._holder.execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(sql.Identifier(table)))

    async def hold_accepted(self) -> bool:
        """Lock invocations that are accepted and not yet cleared, as soon as there are some."""
        statement = "SELECT id FROM invocations WHERE status = 'accepted' FOR UPDATE SKIP LOCKED"
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if await (await self._holder.execute(statement)).fetchall():
                return True
            await asyncio.sleep(POLL_S)
        return False

    async def has_waiters(self) -> bool:
        """True once statements wait at the barrier, GATHER_S after the first; False if none comes."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if await self._waiters():
                await asyncio.sleep(GATHER_S)
                return True
            await asyncio.sleep(POLL_S)
        return False

    async def end_waiters(self) -> None:
        """End the sessions that wait, so that what they were about to commit never is."""
        while waiters := await self._waiters():
            await self._observer.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", [waiters])
            await asyncio.sleep(POLL_S)

    async def _waiters(self) -> list[int]:
        async with self._observer.cursor(row_factory=scalar_row) as cursor:
            await cursor.execute(
                "SELECT pid FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))",
                [self._holder.info.backend_pid],
            )
            return await cursor.fetchall()


@asynccontextmanager
async def barrier(dsn: str) -> AsyncIterator[Barrier]:
    """A barrier that holds nothing yet. On leaving, what it held is released: statements that still wait go on."""
    async with (
        await psycopg.AsyncConnection.connect(dsn) as holder,
        await psycopg.AsyncConnection.connect(dsn, autocommit=True) as observer,
    ):
        yield Barrier(holder, observer)
        await holder.rollback()
