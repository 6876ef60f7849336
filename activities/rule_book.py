"""What operators may change at any time, kept in memory: read at the start, and anew whenever the bus says so."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Generic, TypeVar
from uuid import UUID

import psycopg
from sqlalchemy.exc import SQLAlchemyError

from customhouse.contracts.errors import CustomhouseError
from customhouse.contracts.timing import RULES_RETRY
from customhouse.storage.bus import Bus

log = logging.getLogger(__name__)

Row = TypeVar("Row")
Laid = TypeVar("Laid")


class RuleBook(Generic[Row, Laid]):
    """An organization's rules, laid out for use. To look them up costs one dictionary access."""

    def __init__(
        self,
        lay_out: Callable[[UUID, Sequence[Row]], Laid],
        read: Callable[[UUID], Awaitable[Sequence[Row]]],
        read_all: Callable[[], Awaitable[Mapping[UUID, Sequence[Row]]]],
    ) -> None:
        """`read`: one organization's rows; `read_all`: those of all that have any."""
        self._lay_out = lay_out
        self._read = read
        self._read_all = read_all
        self._laid: dict[UUID, Laid] = {}
        self._changed: set[UUID] = set()
        self._all_changed = False
        self._wake = asyncio.Event()

    def of(self, organization_id: UUID) -> Laid | None:
        """None where the organization has no rules."""
        return self._laid.get(organization_id)

    @asynccontextmanager
    async def kept(self, bus: Bus, channel: str) -> AsyncIterator[None]:
        """Up to date inside the block: from its beginning on, and within milliseconds of a change."""

        def changed(message: str) -> None:
            self._changed.add(UUID(message))
            self._wake.set()

        def missed() -> None:
            self._all_changed = True
            self._wake.set()

        # First, so that nothing falls between the reading and the listening.
        subscription = await bus.subscribe(channel, changed, on_gap=missed)
        await self._refresh_all()
        following = asyncio.create_task(self._follow(), name=f"rules of {channel}")
        try:
            yield
        finally:
            bus.unsubscribe(subscription)
            following.cancel()
            await asyncio.wait([following])
            if not following.cancelled():
                following.result()  # it ended by an error of its own, which must not go unseen

    async def _follow(self) -> None:
        first, longest = (pause.total_seconds() for pause in RULES_RETRY)
        pause = first
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._refresh()
            except (CustomhouseError, SQLAlchemyError, psycopg.Error) as error:  # the rules that stand go on meanwhile
                log.warning("changed rules cannot be read yet", extra={"error": str(error)})
                self._wake.set()
                await asyncio.sleep(pause)
                pause = min(pause * 2, longest)
            else:
                pause = first

    async def _refresh(self) -> None:
        if self._all_changed:
            self._all_changed = False
            try:
                await self._refresh_all()
            except BaseException:
                self._all_changed = True
                raise
        while self._changed:
            organization_id = next(iter(self._changed))
            self._changed.discard(organization_id)
            try:
                rows = await self._read(organization_id)
            except BaseException:
                self._changed.add(organization_id)
                raise
            if rows:
                self._laid[organization_id] = self._lay_out(organization_id, rows)
            else:
                self._laid.pop(organization_id, None)

    async def _refresh_all(self) -> None:
        everything = await self._read_all()
        self._laid = {each: self._lay_out(each, rows) for each, rows in everything.items()}
