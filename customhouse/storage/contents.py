"""Contents: the far side of a claim check, for what is too large for Temporal's history."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from customhouse.contracts.errors import NotFound
from customhouse.contracts.invocation import ContentRef
from customhouse.storage.engine import in_transaction, reader
from customhouse.storage.ids import new_id
from customhouse.storage.models import Content


@dataclass(frozen=True, slots=True)
class StoredContent:
    """A body as it was put, and whether whoever put it had encrypted it."""

    body: bytes
    encrypted: bool


class Contents:
    """Keeps bodies by reference. It neither encrypts nor decrypts: it remembers which was done."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = reader(engine)

    async def put(self, organization_id: UUID, body: bytes, *, encrypted: bool) -> ContentRef:
        """Committed when this returns."""
        reference = ContentRef(content_id=new_id(), size_bytes=len(body))
        # The id is made out here, so that a second try after a lost connection does not keep the body twice.
        statement = (
            insert(Content)
            .values(id=reference.content_id, organization_id=organization_id, body=body, encrypted=encrypted)
            .on_conflict_do_nothing(index_elements=[Content.id])
        )

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(statement)

        await in_transaction(self._engine, work)
        return reference

    async def delete(self, organization_id: UUID, reference: ContentRef) -> None:
        """For a body that nothing came to refer to."""
        statement = delete(Content).where(
            Content.id == reference.content_id, Content.organization_id == organization_id
        )

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(statement)

        await in_transaction(self._engine, work)

    async def get(self, organization_id: UUID, reference: ContentRef) -> StoredContent:
        """Raises NotFound where the organization has no such content."""
        statement = select(Content.body, Content.encrypted).where(
            Content.id == reference.content_id, Content.organization_id == organization_id
        )

        async def read(connection: AsyncConnection) -> StoredContent | None:
            row = (await connection.execute(statement)).one_or_none()
            return None if row is None else StoredContent(bytes(row.body), row.encrypted)

        content = await in_transaction(self._engine, read)
        if content is None:
            raise NotFound(f"There is no content {reference.content_id} in this organization.", param="content_id")
        return content
