"""Earlier prompts as vectors: the nearest in the index, the latest, and those that were blocked.

Every query is bound to one organization, but for those that keep the tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from customhouse.governance.similarity.embedder import Vector
from customhouse.governance.similarity.packing import as_text, packed, unpacked
from customhouse.governance.similarity.recent import Match, SeenPrompt
from customhouse.storage.engine import in_transaction, reader
from customhouse.storage.statements import Statements, statement

SEARCH_SETTINGS = {
    "hnsw.ef_search": "100",
    "hnsw.iterative_scan": "strict_order",
    "hnsw.max_scan_tuples": "500",
    "plan_cache_mode": "force_custom_plan",
}
"""For the connections that `nearest` runs on. A generic plan would look into every partition. Where the nearest 100 of
an index are all other organizations', some more are looked at; small organizations, which that happens to, are compared
in memory as a whole (`activities/prompt_memory.py`)."""

_NEAREST = statement(
    """
    SELECT id, prompt_hash, 1 - (vector <=> CAST(:vector AS halfvec)) AS score
    FROM prompt_vectors
    WHERE organization_id = :organization_id AND id <> :other_than
    ORDER BY vector <=> CAST(:vector AS halfvec)
    LIMIT 1
    """
)

# `halfvec_send` gives two numbers of 16 bits, and then the vector, big-endian.
_INDEXED_COLUMNS = """
    organization_id, id, prompt_hash, created_at, substring(halfvec_send(vector) FROM 5) AS vector,
    NULL AS user_id, NULL AS agent_id, false AS blocked, true AS is_indexed
"""
_STAGED_COLUMNS = """
    organization_id, id, prompt_hash, created_at, vector, user_id, agent_id, blocked, false AS is_indexed
"""

_LATEST = text(
    f"""
    SELECT * FROM (
        (SELECT {_STAGED_COLUMNS} FROM prompt_vectors_staged
        WHERE organization_id = :organization_id ORDER BY created_at DESC LIMIT :limit)
        UNION ALL
        (SELECT {_INDEXED_COLUMNS} FROM prompt_vectors
        WHERE organization_id = :organization_id ORDER BY created_at DESC LIMIT :limit)
        ORDER BY is_indexed, created_at DESC LIMIT :limit
    ) AS latest ORDER BY created_at
    """  # noqa: S608 - columns of ours
)

_BLOCKED = text(
    """
    SELECT * FROM (
        SELECT id, prompt_hash, created_at, vector FROM blocked_prompts
        WHERE organization_id = :organization_id AND is_blocked ORDER BY changed_at DESC LIMIT :limit
    ) AS latest ORDER BY created_at
    """
)

_LATEST_SINCE = text(
    f"""
    SELECT {_STAGED_COLUMNS} FROM prompt_vectors_staged
    WHERE created_at > :since AND organization_id = ANY(:organization_ids)
    UNION ALL
    SELECT {_INDEXED_COLUMNS} FROM prompt_vectors
    WHERE created_at > :since AND organization_id = ANY(:organization_ids)
    ORDER BY created_at
    """  # noqa: S608 - columns of ours
)

_BLOCKED_SINCE = text(
    """
    SELECT organization_id, id, prompt_hash, created_at, vector, is_blocked FROM blocked_prompts
    WHERE organization_id = ANY(:organization_ids) AND changed_at > :since ORDER BY changed_at
    """
)

_CONDEMN = text(
    """
    WITH logged AS (
        UPDATE prompt_sim_logs SET blocked = true
        WHERE organization_id = :organization_id AND invocation_id = :id AND created_at > now() - interval '2 days'
    ), staged AS (
        UPDATE prompt_vectors_staged SET blocked = true WHERE organization_id = :organization_id AND id = :id
    )
    INSERT INTO blocked_prompts (id, organization_id, prompt_hash, vector)
    VALUES (:id, :organization_id, :prompt_hash, :vector)
    ON CONFLICT (id) DO NOTHING
    """
)

_FORGIVE = text(
    """
    UPDATE blocked_prompts SET is_blocked = false, changed_at = now()
    WHERE organization_id = :organization_id AND prompt_hash = :prompt_hash AND is_blocked
    RETURNING id
    """
)


@dataclass(frozen=True, slots=True)
class Stored:
    """A prompt as it stands in Postgres."""

    seen: SeenPrompt
    vector: Vector


@dataclass(frozen=True, slots=True)
class Changes:
    """What came since a moment, by organization; the oldest first."""

    latest: Sequence[tuple[UUID, Stored]]
    blocked: Sequence[tuple[UUID, Stored]]
    """Those that are not blocked any more have `blocked` false."""
    until: datetime


class PromptVectors:
    """Reads and changes one organization's prompts. They are written with the decision, by the ledger."""

    def __init__(self, engine: AsyncEngine, searching: Statements) -> None:
        """`searching`: a pool of its own, with SEARCH_SETTINGS and a short statement time-out."""
        self._engine = engine
        self._reader = reader(engine)
        self._searching = searching

    async def nearest(self, organization_id: UUID, vector: Vector, *, other_than: UUID) -> Match | None:
        """The organization's nearest prompt in the index, approximately; None where there is none."""
        row = await self._searching.one_or_none(
            _NEAREST, {"organization_id": organization_id, "vector": as_text(vector), "other_than": other_than}
        )
        return None if row is None else Match(min(1.0, float(row.score)), row.prompt_hash, row.id)

    async def latest(self, organization_id: UUID, limit: int) -> list[Stored]:
        """Those that are not in the index yet, and the latest of the others, the oldest first."""
        return [_stored(row, blocked=row.blocked) for row in await self._read(_LATEST, organization_id, limit)]

    async def blocked(self, organization_id: UUID, limit: int) -> list[Stored]:
        """The latest prompts that were blocked for what they ask, the oldest first."""
        return [_stored(row, blocked=True) for row in await self._read(_BLOCKED, organization_id, limit)]

    async def now(self) -> datetime:
        """Postgres's time, by which `changes` counts."""

        async def read(connection: AsyncConnection) -> datetime:
            moment: datetime = (await connection.execute(text("SELECT now()"))).scalar_one()
            return moment

        return await in_transaction(self._reader, read)

    async def changes(self, organization_ids: Sequence[UUID], since: datetime | None, overlap: timedelta) -> Changes:
        """What these organizations' prompts have come to since then; `overlap` earlier, for what was late to commit."""

        async def read(connection: AsyncConnection) -> Changes:
            now: datetime = (await connection.execute(text("SELECT now()"))).scalar_one()
            asked = {"organization_ids": list(organization_ids), "since": (since or now) - overlap}
            latest = (await connection.execute(_LATEST_SINCE, asked)).all()
            blocked = (await connection.execute(_BLOCKED_SINCE, asked)).all()
            return Changes(
                latest=[(row.organization_id, _stored(row, blocked=row.blocked)) for row in latest],
                blocked=[(row.organization_id, _stored(row, blocked=row.is_blocked)) for row in blocked],
                until=now,
            )

        return await in_transaction(self._reader, read)

    async def condemn(self, organization_id: UUID, invocation_id: UUID, prompt_hash: str, vector: Vector) -> None:
        """Note that a prompt was blocked after it had been let through. Idempotent."""
        values = {
            "organization_id": organization_id,
            "id": invocation_id,
            "prompt_hash": prompt_hash,
            "vector": packed(vector),
        }

        async def write(connection: AsyncConnection) -> None:
            await connection.execute(_CONDEMN, values)

        await in_transaction(self._engine, write)

    async def forgive(self, organization_id: UUID, prompt_hash: str) -> list[UUID]:
        """A prompt was blocked wrongly: its copies are no longer held against it. Returns the invocations it was in."""

        async def write(connection: AsyncConnection) -> list[UUID]:
            asked = {"organization_id": organization_id, "prompt_hash": prompt_hash}
            return list((await connection.execute(_FORGIVE, asked)).scalars())

        return await in_transaction(self._engine, write)

    async def _read(self, query: Any, organization_id: UUID, limit: int) -> Sequence[Row[*tuple[Any, ...]]]:
        async def read(connection: AsyncConnection) -> Sequence[Row[*tuple[Any, ...]]]:
            return (await connection.execute(query, {"organization_id": organization_id, "limit": limit})).all()

        return await in_transaction(self._reader, read)


def _stored(row: Row[*tuple[Any, ...]], *, blocked: bool) -> Stored:
    names = row._mapping  # noqa: SLF001 - SQLAlchemy's public way to ask for a column that may be missing
    seen = SeenPrompt(
        invocation_id=row.id,
        prompt_hash=row.prompt_hash,
        at=row.created_at.timestamp(),
        user_id=names.get("user_id"),
        agent_id=names.get("agent_id"),
        blocked=blocked,
    )
    return Stored(seen, unpacked(row.vector, is_big_endian=bool(names.get("is_indexed"))))
