"""Keyset pages, newest first: a page's cursor is the last row's place in the order, so that rows which come or go
meanwhile neither repeat nor skip others, and the hundredth page costs what the first does."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

import orjson
from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field
from sqlalchemy import ColumnElement, Row, Select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from customhouse.contracts.errors import UnprocessableField

Item = TypeVar("Item")

DEFAULT_LIMIT = 50
LARGEST_LIMIT = 200
LONGEST_CURSOR = 512
"""Characters; ours have about 110."""

Term = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\x00]*$")]
"""What a filter may ask for. Postgres's text knows no NUL, so nothing that is stored bears one."""


def _iso_only(value: object) -> object:
    """Pydantic would take a number for seconds since the epoch; what is described and documented is RFC 3339."""
    if isinstance(value, str) and not re.match(r"\d{4}-\d{2}-\d{2}", value):
        raise ValueError("Input should be a time such as 2026-01-31T12:00:00Z")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_iso_only)]
"""A point in time that a filter asks for: RFC 3339, with its offset."""


class Page(BaseModel, Generic[Item]):
    """One page of a list."""

    data: list[Item]
    next: str | None
    """The cursor of the page that follows; null on the last."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a list that is ordered by time and id."""

    created_at: datetime
    id: UUID

    def encode(self) -> str:
        place = orjson.dumps({"created_at": self.created_at.isoformat(), "id": self.id})
        return base64.urlsafe_b64encode(place).rstrip(b"=").decode()

    @classmethod
    def decode(cls, text: str) -> Cursor:
        """Raises UnprocessableField, naming `cursor`, for anything that `encode` has not made."""
        try:
            if len(text) > LONGEST_CURSOR:
                raise ValueError("too long")
            place = orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
            created_at = datetime.fromisoformat(place["created_at"])
            if created_at.tzinfo is None:
                raise ValueError("no time zone")
            return cls(created_at, UUID(place["id"]))
        except (binascii.Error, ValueError, TypeError, KeyError, AttributeError) as error:
            raise UnprocessableField(
                "`cursor` is not one that a list of ours has returned. Pass the value of `next` unchanged, or leave it "
                "out for the first page.",
                param="cursor",
            ) from error


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page: checked, however it was asked for."""

    limit: int
    after: Cursor | None

    @classmethod
    def of(cls, limit: int | None = None, cursor: str | None = None) -> PageRequest:
        """Raises UnprocessableField, naming `limit` or `cursor`."""
        if limit is None:
            limit = DEFAULT_LIMIT
        if not 1 <= limit <= LARGEST_LIMIT:
            raise UnprocessableField(f"`limit` is {limit}; it must be 1 to {LARGEST_LIMIT}.", param="limit")
        return cls(limit, Cursor.decode(cursor) if cursor is not None else None)

    def select(
        self,
        statement: Select[*tuple[Any, ...]],
        created_at: InstrumentedAttribute[datetime],
        id_: InstrumentedAttribute[UUID],
    ) -> Select[*tuple[Any, ...]]:
        """The statement for this page, and for one row more, which tells whether another page follows."""
        if self.after is not None:
            place: ColumnElement[bool] = tuple_(created_at, id_) < tuple_(self.after.created_at, self.after.id)
            statement = statement.where(place)
        return statement.order_by(created_at.desc(), id_.desc()).limit(self.limit + 1)

    def page(
        self, rows: Sequence[Row[*tuple[Any, ...]]], to_item: Callable[[Row[*tuple[Any, ...]]], Item]
    ) -> Page[Item]:
        """The page that `rows`, the answer to `select`, make up."""
        shown = rows[: self.limit]
        follows = len(rows) > self.limit
        next_ = Cursor(shown[-1].created_at, shown[-1].id).encode() if follows else None
        return Page(data=[to_item(row) for row in shown], next=next_)
