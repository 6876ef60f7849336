"""Keeps the index of prompts: staged ones move in, old ones go, both in batches."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from customhouse.governance.similarity.packing import as_text, unpacked
from customhouse.storage.engine import in_transaction

_LOCK_KEY = 0x5052_4F4D
"""Advisory lock that whoever moves prompts holds ("PROM" in ASCII)."""

_TAKE = text(
    """
    SELECT id, created_at, organization_id, prompt_hash, vector FROM prompt_vectors_staged
    WHERE created_at < now() - CAST(:settled AS interval) ORDER BY created_at LIMIT :limit
    """
)

_INDEX = text(
    """
    INSERT INTO prompt_vectors (organization_id, prompt_hash, id, created_at, vector)
    SELECT n.organization_id, n.prompt_hash, n.id, n.created_at, CAST(n.vector AS halfvec)
    FROM unnest(
        CAST(:ids AS uuid[]), CAST(:times AS timestamptz[]), CAST(:organization_ids AS uuid[]),
        CAST(:hashes AS text[]), CAST(:vectors AS text[])
    ) AS n(id, created_at, organization_id, prompt_hash, vector)
    ON CONFLICT DO NOTHING
    """
)

_OLD = text(
    """
    DELETE FROM prompt_vectors WHERE (organization_id, prompt_hash) IN (
        SELECT organization_id, prompt_hash FROM prompt_vectors WHERE created_at < :before LIMIT :limit)
    """
)

_OLD_BLOCKED = text("DELETE FROM blocked_prompts WHERE created_at < :before")

DELETED_AT_ONCE = 1_000


class PromptIndex:
    """For one process at a time; another one's try does nothing."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def move(self, limit: int, *, settled: timedelta) -> int:
        """Index up to `limit` staged prompts that are older than `settled`: by then every process has seen them.

        Returns how many were taken; 0 also while another process is at it.
        """

        async def work(connection: AsyncConnection) -> int:
            if not (
                await connection.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
            ).scalar():
                return 0
            rows = (await connection.execute(_TAKE, {"limit": limit, "settled": settled})).all()
            if not rows:
                return 0
            await connection.execute(
                _INDEX,
                {
                    "ids": [row.id for row in rows],
                    "times": [row.created_at for row in rows],
                    "organization_ids": [row.organization_id for row in rows],
                    "hashes": [row.prompt_hash for row in rows],
                    "vectors": [as_text(unpacked(row.vector)) for row in rows],
                },
            )
            await connection.execute(
                text("DELETE FROM prompt_vectors_staged WHERE id = ANY(:ids)"), {"ids": [row.id for row in rows]}
            )
            return len(rows)

        return await in_transaction(self._engine, work)

    async def age_out(self, older_than: timedelta) -> int:
        """Delete prompts that are older, blocked ones included, in batches; returns how many were in the index.

        Vacuum, which Postgres runs by itself, takes them out of the index and mends it.
        """
        async with self._engine.connect() as connection:
            now: datetime = (await connection.execute(text("SELECT now()"))).scalar_one()
        before = now - older_than

        async def forget_blocked(connection: AsyncConnection) -> None:
            await connection.execute(_OLD_BLOCKED, {"before": before})

        async def forget(connection: AsyncConnection) -> int:
            return (await connection.execute(_OLD, {"before": before, "limit": DELETED_AT_ONCE})).rowcount

        await in_transaction(self._engine, forget_blocked)
        deleted, last = 0, DELETED_AT_ONCE
        while last == DELETED_AT_ONCE:
            last = await in_transaction(self._engine, forget)
            deleted += last
        return deleted
