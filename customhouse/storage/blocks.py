"""Block lists: entries added, listed and taken away by operators or by Customhouse itself, and read by each process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, Row, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from customhouse.contracts.errors import NotFound
from customhouse.contracts.rate_limits import BlockEffect, BlockKind, BlockRule
from customhouse.storage import audit
from customhouse.storage.clock import utc_now
from customhouse.storage.engine import in_transaction, reader
from customhouse.storage.ids import new_id
from customhouse.storage.models import Block
from customhouse.storage.pages import Page, PageRequest, Term

CHANGED_CHANNEL = "customhouse_blocks"
"""On the bus: the organization whose list has changed."""


class NewBlock(BaseModel):
    """What an entry says. Networks and ids are checked already."""

    model_config = ConfigDict(frozen=True)

    effect: BlockEffect = BlockEffect.DENY
    kind: BlockKind
    subject: str
    network: str | None = None
    reason: str
    lasts: timedelta | None = None
    """None: until it is taken away."""


class BlockRecord(BlockRule):
    """An entry as it is shown."""

    organization_id: UUID
    created_by: str
    created_at: datetime
    removed_at: datetime | None
    removed_by: str | None


class BlockFilter(BaseModel):
    """Every field that is set must match."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    effect: BlockEffect | None = None
    kind: BlockKind | None = None
    subject: Term | None = None
    past: bool = False
    """Also entries that have expired or were taken away."""

    def conditions(self) -> list[ColumnElement[bool]]:
        asked = self.model_dump(exclude_none=True, exclude={"past"})
        conditions: list[ColumnElement[bool]] = [getattr(Block, name) == value for name, value in asked.items()]
        return conditions if self.past else [*conditions, *_standing()]


class Blocks:
    """Reads and changes block lists. Every change is audited, and told to all processes when it is committed."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reader = reader(engine)

    async def add(self, organization_id: UUID, entry: NewBlock, *, actor: str) -> BlockRecord:
        """A new entry, beside whatever else stands."""
        return await in_transaction(
            self._engine, lambda connection: _add(connection, organization_id, entry, actor=actor, automatic=False)
        )

    async def add_automatic(self, organization_id: UUID, entry: NewBlock, *, actor: str) -> BlockRecord | None:
        """A new entry by Customhouse itself; None where one like it stands already: two processes saw the same."""

        async def work(connection: AsyncConnection) -> BlockRecord | None:
            # The lock of the audit chain also keeps two processes from looking at the same time.
            await audit.lock(connection, organization_id)
            alike = select(Block.id).where(
                Block.organization_id == organization_id,
                Block.effect == entry.effect,
                Block.kind == entry.kind,
                Block.subject == entry.subject,
                Block.network.is_not_distinct_from(entry.network),
                *_standing(),
            )
            if (await connection.execute(alike.limit(1))).first() is not None:
                return None
            return await _add(connection, organization_id, entry, actor=actor, automatic=True)

        return await in_transaction(self._engine, work)

    async def remove(self, organization_id: UUID, block_id: UUID, *, actor: str) -> BlockRecord:
        """Take an entry away, or leave it as it is if it is gone. Raises NotFound, also for another organization's."""

        async def work(connection: AsyncConnection) -> BlockRecord:
            is_this = (Block.organization_id == organization_id, Block.id == block_id)
            removed = (
                await connection.execute(
                    update(Block)
                    .where(*is_this, Block.removed_at.is_(None))
                    .values(removed_at=func.now(), removed_by=actor)
                    .returning(*_COLUMNS)
                )
            ).one_or_none()
            if removed is not None:
                record = _record(removed)
                await _changed(connection, record, "block.removed", actor)
                return record
            standing = (await connection.execute(select(*_COLUMNS).where(*is_this))).one_or_none()
            if standing is None:
                raise NotFound(f"There is no block {block_id} in this organization.", param="block_id")
            return _record(standing)

        return await in_transaction(self._engine, work)

    async def list_page(self, organization_id: UUID, narrowed: BlockFilter, page: PageRequest) -> Page[BlockRecord]:
        """Newest first."""
        statement = select(*_COLUMNS).where(Block.organization_id == organization_id, *narrowed.conditions())

        async def read(connection: AsyncConnection) -> Page[BlockRecord]:
            rows = (await connection.execute(page.select(statement, Block.created_at, Block.id))).all()
            return page.page(rows, _record)

        return await in_transaction(self._reader, read)

    async def standing(self, organization_id: UUID) -> Sequence[BlockRule]:
        """All entries that hold now."""

        async def read(connection: AsyncConnection) -> list[BlockRule]:
            rows = await connection.execute(
                select(*_COLUMNS).where(Block.organization_id == organization_id, *_standing())
            )
            return [_record(row) for row in rows]

        return await in_transaction(self._reader, read)

    async def of_every_organization(self) -> Mapping[UUID, Sequence[BlockRule]]:
        """What a process starts with. No key reaches it."""

        async def read(connection: AsyncConnection) -> dict[UUID, list[BlockRule]]:
            found: dict[UUID, list[BlockRule]] = {}
            for row in await connection.execute(select(*_COLUMNS).where(*_standing())):
                found.setdefault(row.organization_id, []).append(_record(row))
            return found

        return await in_transaction(self._reader, read)


async def _add(
    connection: AsyncConnection, organization_id: UUID, entry: NewBlock, *, actor: str, automatic: bool
) -> BlockRecord:
    row = (
        await connection.execute(
            insert(Block)
            .values(
                id=new_id(),
                organization_id=organization_id,
                **entry.model_dump(exclude={"lasts"}),
                automatic=automatic,
                created_by=actor,
                expires_at=None if entry.lasts is None else utc_now() + entry.lasts,
            )
            .returning(*_COLUMNS)
        )
    ).one()
    record = _record(row)
    await _changed(connection, record, "block.added", actor)
    return record


async def _changed(connection: AsyncConnection, record: BlockRecord, action: str, actor: str) -> None:
    details = record.model_dump(
        mode="json", include={"effect", "kind", "subject", "network", "reason", "expires_at", "automatic"}
    )
    await audit.append(
        connection, record.organization_id, actor=actor, action=action, target=str(record.id), details=details
    )
    await connection.execute(select(func.pg_notify(CHANGED_CHANNEL, str(record.organization_id))))


def _standing() -> tuple[ColumnElement[bool], ...]:
    return Block.removed_at.is_(None), or_(Block.expires_at.is_(None), Block.expires_at > func.now())


_COLUMNS = (
    Block.id,
    Block.organization_id,
    Block.effect,
    Block.kind,
    Block.subject,
    Block.network,
    Block.reason,
    Block.automatic,
    Block.created_by,
    Block.created_at,
    Block.expires_at,
    Block.removed_at,
    Block.removed_by,
)


def _record(row: Row[*tuple[Any, ...]]) -> BlockRecord:
    return BlockRecord(**{**row._asdict(), "effect": BlockEffect(row.effect), "kind": BlockKind(row.kind)})
