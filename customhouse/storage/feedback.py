"""Marks on findings: given, listed, and read together with their requests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Row, insert, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from customhouse.contracts.errors import NotFound
from customhouse.contracts.feedback import Category, Label, Mark
from customhouse.governance.feedback.export import StoredMark
from customhouse.storage import audit
from customhouse.storage.engine import in_transaction, reader
from customhouse.storage.ids import new_id
from customhouse.storage.keys import Role
from customhouse.storage.models import Feedback, Invocation
from customhouse.storage.pages import Moment, Page, PageRequest, Term

_BATCH = 200
"""Marks read at once with their requests, which may be megabytes long."""


class FeedbackFilter(BaseModel):
    """What a list is narrowed to. Every field that is set must match."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    invocation_id: UUID | None = None
    check_name: Term | None = None
    mark: Mark | None = None
    label: Label | None = None
    created_from: Moment | None = None
    """Inclusive."""
    created_to: Moment | None = None
    """Exclusive."""


class FeedbackRecord(BaseModel):
    """One mark."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    created_at: datetime
    invocation_id: UUID
    finding: int | None
    """Its place in the invocation's findings; None where the mark is on the invocation."""
    check_name: str | None
    kind: str | None
    path: str | None
    """Of the text that the finding is in."""
    mark: Mark
    label: Label | None
    category: Category | None
    comment: str | None
    role: Role
    """Of whoever gave it."""
    actor: str
    """As the audit log names them."""


class NewFeedback(BaseModel):
    """A mark that has been found sound."""

    model_config = ConfigDict(frozen=True)

    invocation_id: UUID
    finding: int | None
    check_name: str | None
    kind: str | None
    path: str | None
    mark: Mark
    label: Label | None
    category: Category | None
    comment: str | None


class FeedbackMarks:
    """Keeps an organization's marks. None is ever changed: a later one on the same text counts before it."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reader = reader(engine)

    async def add(self, organization_id: UUID, given: NewFeedback, *, role: Role, actor: str) -> FeedbackRecord:
        """Raises NotFound where the organization has no such invocation."""
        mark_id = new_id()

        async def work(connection: AsyncConnection) -> FeedbackRecord:
            theirs = (Invocation.id == given.invocation_id, Invocation.organization_id == organization_id)
            if (await connection.execute(select(Invocation.id).where(*theirs))).one_or_none() is None:
                raise NotFound(
                    f"There is no invocation {given.invocation_id} in your organization.", param="invocation_id"
                )
            row = (
                await connection.execute(
                    insert(Feedback)
                    .values(id=mark_id, organization_id=organization_id, role=role, actor=actor, **given.model_dump())
                    .returning(*_COLUMNS)
                )
            ).one()
            await audit.append(
                connection,
                organization_id,
                actor=actor,
                action="feedback.given",
                target=str(given.invocation_id),
                details={"feedback_id": str(mark_id), **given.model_dump(mode="json", exclude={"comment"})},
            )
            return _record(row)

        return await in_transaction(self._engine, work)

    async def list_page(
        self, organization_id: UUID, narrowed: FeedbackFilter, request: PageRequest
    ) -> Page[FeedbackRecord]:
        """One page, newest first."""
        asked = narrowed.model_dump(exclude_none=True, exclude={"created_from", "created_to"})
        conditions = [getattr(Feedback, name) == value for name, value in asked.items()]
        if narrowed.created_from is not None:
            conditions.append(Feedback.created_at >= narrowed.created_from)
        if narrowed.created_to is not None:
            conditions.append(Feedback.created_at < narrowed.created_to)
        statement = request.select(
            select(*_COLUMNS).where(Feedback.organization_id == organization_id, *conditions),
            Feedback.created_at,
            Feedback.id,
        )

        async def read(connection: AsyncConnection) -> Page[FeedbackRecord]:
            return request.page((await connection.execute(statement)).all(), _record)

        return await in_transaction(self._reader, read)

    async def stored(self, organization_id: UUID) -> AsyncIterator[StoredMark]:
        """Those that label a text, each with its invocation's request, oldest first."""
        statement = (
            select(
                *(Feedback.id, Feedback.created_at, Feedback.invocation_id, Feedback.path),
                *(Feedback.label, Feedback.category, Feedback.role, Invocation.request),
            )
            .join(Invocation, Invocation.id == Feedback.invocation_id)
            .where(
                Feedback.organization_id == organization_id,
                Invocation.organization_id == organization_id,
                Feedback.label.is_not(None),
            )
            .order_by(Feedback.created_at, Feedback.id)
            .limit(_BATCH)
        )
        after: tuple[datetime, UUID] | None = None
        while True:
            place = () if after is None else (tuple_(Feedback.created_at, Feedback.id) > tuple_(*after),)
            page = await self._read(statement.where(*place))
            for row in page:
                yield StoredMark(
                    invocation_id=row.invocation_id,
                    path=row.path,
                    label=Label(row.label),
                    category=Category(row.category),
                    by_operator=Role(row.role).includes(Role.OPERATOR),
                    created_at=row.created_at,
                    request=row.request,
                )
            if len(page) < _BATCH:
                return
            after = (page[-1].created_at, page[-1].id)

    async def _read(self, statement: Any) -> list[Row[*tuple[Any, ...]]]:
        async def read(connection: AsyncConnection) -> list[Row[*tuple[Any, ...]]]:
            return list((await connection.execute(statement)).all())

        return await in_transaction(self._reader, read)


def _record(row: Row[*tuple[Any, ...]]) -> FeedbackRecord:
    return FeedbackRecord(**row._asdict())


_COLUMNS = tuple(getattr(Feedback, name) for name in FeedbackRecord.model_fields)
