"""Organizations: the tenants that every other row belongs to."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from customhouse.contracts.errors import NotFound, UnprocessableField
from customhouse.storage import audit
from customhouse.storage.engine import in_transaction, reader
from customhouse.storage.ids import new_id
from customhouse.storage.models import Organization

LONGEST_NAME = 128
"""Characters."""


class OrganizationRecord(BaseModel):
    """An organization as it is shown."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    name: Annotated[str, Field(max_length=LONGEST_NAME)]
    created_at: datetime


class Organizations:
    """Reads and creates organizations."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reader = reader(engine)

    async def ensure(self, name: str, *, actor: str) -> OrganizationRecord:
        """The organization of that name, created (and audited) if there is none."""
        return await in_transaction(self._engine, lambda connection: ensure_in(connection, name, actor=actor))

    async def find(self, name: str) -> OrganizationRecord:
        """Raises NotFound where no organization bears the name."""
        record = await in_transaction(self._reader, lambda connection: _by_name(connection, name))
        if record is None:
            raise NotFound(f"There is no organization named {name!r}.", param="organization")
        return record

    async def list_all(self) -> list[OrganizationRecord]:
        """All organizations, oldest first. For the operator of the installation; no key reaches it."""

        async def read(connection: AsyncConnection) -> list[OrganizationRecord]:
            rows = await connection.execute(select(*_COLUMNS).order_by(Organization.created_at, Organization.id))
            return [_record(row) for row in rows]

        return await in_transaction(self._reader, read)


async def ensure_in(connection: AsyncConnection, name: str, *, actor: str) -> OrganizationRecord:
    """As `Organizations.ensure`, in the caller's transaction."""
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise UnprocessableField(
            f"An organization's name is 1 to {LONGEST_NAME} printable characters; {name[:LONGEST_NAME]!r} is not.",
            param="name",
        )
    # Where two processes do this at once, the second waits here and then reads what the first has made.
    created = (
        await connection.execute(
            insert(Organization).values(id=new_id(), name=name).on_conflict_do_nothing().returning(*_COLUMNS)
        )
    ).one_or_none()
    if created is not None:
        record = _record(created)
        await audit.append(
            connection,
            record.id,
            actor=actor,
            action="organization.created",
            target=str(record.id),
            details={"name": name},
        )
        return record
    found = await _by_name(connection, name)
    if found is None:
        raise NotFound(f"The organization {name!r} was deleted just now. Try again.", param="organization")
    return found


async def _by_name(connection: AsyncConnection, name: str) -> OrganizationRecord | None:
    row = (await connection.execute(select(*_COLUMNS).where(Organization.name == name))).one_or_none()
    return None if row is None else _record(row)


_COLUMNS = (Organization.id, Organization.name, Organization.created_at)


def _record(row: Row[UUID, str, datetime]) -> OrganizationRecord:
    return OrganizationRecord(id=row.id, name=row.name, created_at=row.created_at)
