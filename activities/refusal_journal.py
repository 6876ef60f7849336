"""Refused callers as governance events: the first of a kind at once, the others counted, so that a flood of requests
becomes no flood of rows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy.exc import SQLAlchemyError

from customhouse.contracts.errors import CustomhouseError
from customhouse.contracts.timing import REFUSALS_TOLD_AFTER, REFUSALS_TOLD_EVERY
from customhouse.storage.clock import utc_now
from customhouse.storage.governance_events import EventRow

log = logging.getLogger(__name__)

MOST_KINDS = 2_000
"""Kinds of refusal that are told apart at a time; past it an organization's others are counted together."""

OTHERS = "others"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Who was refused, and why. Equal ones are told together."""

    organization_id: UUID
    event_type: str
    """`rate_limited` or `caller_blocked`, say."""
    subject: str
    """Whom: `user:u-17`, `ip:192.0.2.1`."""
    rule: str = ""
    """By what: the limit, or the block's id."""
    user_id: str | None = None
    action: str = "refused"


@dataclass(slots=True)
class _Tally:
    due: float
    """When it is told next, by the loop's clock."""
    count: int = 0
    first: datetime = field(default_factory=utc_now)
    last: datetime = field(default_factory=utc_now)


class RefusalJournal:
    """Takes refusals without waiting, and writes them in the background. Use `writing` as a context manager."""

    def __init__(self, write: Callable[[Sequence[EventRow]], Awaitable[None]]) -> None:
        self._write = write
        self._tallies: dict[Refusal, _Tally] = {}

    def note(self, refusal: Refusal) -> None:
        """Some microseconds."""
        tally = self._tallies.get(refusal)
        if tally is None:
            if len(self._tallies) >= MOST_KINDS and refusal.subject != OTHERS:
                self.note(Refusal(refusal.organization_id, refusal.event_type, OTHERS))
                return
            now = asyncio.get_running_loop().time()
            tally = self._tallies[refusal] = _Tally(now + REFUSALS_TOLD_AFTER.total_seconds())
        if not tally.count:
            tally.first = utc_now()
        tally.count += 1
        tally.last = utc_now()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """What is left is written when the block is left."""
        task = asyncio.create_task(self._keep_writing(), name="refusal journal")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            await self._tell(everything=True)

    async def _keep_writing(self) -> None:
        while True:
            await asyncio.sleep(REFUSALS_TOLD_AFTER.total_seconds() / 2)
            await self._tell(everything=False)

    async def _tell(self, *, everything: bool) -> None:
        now = asyncio.get_running_loop().time()
        due = {each: tally for each, tally in self._tallies.items() if everything or tally.due <= now}
        told = [(each, tally, tally.count) for each, tally in due.items() if tally.count]
        for each in due.keys() - {each for each, _, _ in told}:
            del self._tallies[each]  # it has stopped
        if not told:
            return
        try:
            await self._write([_row(each, tally) for each, tally, _ in told])
        except (CustomhouseError, SQLAlchemyError, psycopg.Error) as error:
            # They are counted still, and told at the next try.
            log.warning("refusals cannot be recorded yet", extra={"error": str(error), "kinds": len(told)})
            return
        for _, tally, count in told:
            tally.count -= count
            tally.first = tally.last
            tally.due = now + REFUSALS_TOLD_EVERY.total_seconds()


def _row(refusal: Refusal, tally: _Tally) -> EventRow:
    details: dict[str, Any] = {
        "subject": refusal.subject,
        "count": tally.count,
        "first_at": tally.first.isoformat(),
        "last_at": tally.last.isoformat(),
    }
    if refusal.rule:
        details["rule"] = refusal.rule
    return EventRow(refusal.organization_id, refusal.event_type, refusal.action, refusal.user_id, details)
