"""The prompts that a process holds in memory, organization by organization: the latest, and those that were blocked."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg import Error as PsycopgError
from sqlalchemy.exc import DBAPIError

from customhouse.contracts.errors import NotReady
from customhouse.contracts.timing import SIMILARITY_OVERLAP, SIMILARITY_REFRESH
from customhouse.governance.similarity.embedder import Vector
from customhouse.governance.similarity.recent import RecentPrompts, SeenPrompt
from customhouse.storage.prompt_vectors import Changes, PromptVectors

log = logging.getLogger(__name__)

RECENT = 2_048
"""Latest prompts of an organization: all of most. Those that the index does not hold yet are among them, unless prompts
come faster than it takes them in."""

BLOCKED = 4_096
"""Latest blocked prompts of an organization."""

MOST_BYTES = 128 * 2**20
"""For all organizations together; 1 KiB a prompt. The one that was not heard of for longest goes first."""


@dataclass(frozen=True, slots=True)
class Known:
    """One organization's prompts."""

    recent: RecentPrompts
    blocked: RecentPrompts

    @property
    def is_whole(self) -> bool:
        """Whether all of the organization's prompts are here: then there is no need to search the index."""
        return len(self.recent) < RECENT

    @property
    def size_bytes(self) -> int:
        return self.recent.size_bytes + self.blocked.size_bytes


class PromptMemory:
    """Loads an organization at its first prompt, and from then on asks once a second for what other processes took."""

    def __init__(self, prompts: PromptVectors, *, most_bytes: int = MOST_BYTES) -> None:
        self._prompts = prompts
        self._most_bytes = most_bytes
        self._known: OrderedDict[UUID, Known] = OrderedDict()
        self._loading: dict[UUID, asyncio.Task[Known]] = {}
        self._refreshing: asyncio.Task[None] | None = None
        self._refreshed_at = 0.0
        self._until: datetime | None = None

    async def of(self, organization_id: UUID) -> Known:
        """The organization's prompts. At its first one they are read, which goes on though the caller be cancelled.

        Raises what the database raises.
        """
        known = self.at_hand(organization_id)
        if known is not None:
            return known
        loading = self._loading.get(organization_id)
        if loading is None:
            loading = asyncio.create_task(self._load(organization_id), name="read prompts")
            loading.add_done_callback(lambda task: self._loaded(organization_id, task))
            self._loading[organization_id] = loading
        return await asyncio.shield(loading)

    def at_hand(self, organization_id: UUID) -> Known | None:
        """The organization's prompts where they are in memory; brings them up to date in the background."""
        known = self._known.get(organization_id)
        if known is not None:
            self._known.move_to_end(organization_id)
            self._refresh_now_and_then()
        return known

    def add(self, organization_id: UUID, seen: SeenPrompt, vector: Vector, *, is_abuse: bool) -> None:
        """Take in a prompt of this process."""
        known = self._known.get(organization_id)
        if known is not None:
            known.recent.add(seen, vector)
            if is_abuse:
                known.blocked.add(seen, vector)

    def forget_blocked(self, organization_id: UUID, prompt_hash: str) -> None:
        """The prompt was blocked wrongly. Other processes hear of it at their next look."""
        known = self._known.get(organization_id)
        if known is not None:
            known.blocked.remove_hash(prompt_hash)

    async def close(self) -> None:
        """Wait for what runs in the background, before the database's connections are closed. It takes milliseconds,
        and to cancel it would leave a connection behind in the middle of a statement."""
        refreshing = [self._refreshing] if self._refreshing is not None else []
        await asyncio.gather(*self._loading.values(), *refreshing, return_exceptions=True)

    async def refresh(self) -> None:
        """Take in what other processes have written since the last look."""
        changes = await self._prompts.changes(list(self._known), self._until, SIMILARITY_OVERLAP)
        self._take_in(changes)

    def _take_in(self, changes: Changes) -> None:
        for organization_id, stored in changes.latest:
            known = self._known.get(organization_id)
            if known is not None and stored.seen.invocation_id not in known.recent:
                known.recent.add(stored.seen, stored.vector)
        for organization_id, stored in changes.blocked:
            known = self._known.get(organization_id)
            if known is None:
                continue
            if stored.seen.blocked:
                known.blocked.add(stored.seen, stored.vector)
            else:
                known.blocked.remove(stored.seen.invocation_id)
        self._until = changes.until

    async def _load(self, organization_id: UUID) -> Known:
        if self._until is None:
            self._until = await self._prompts.now()
        staged = await self._prompts.latest(organization_id, RECENT)
        blocked = await self._prompts.blocked(organization_id, BLOCKED)
        known = Known(
            RecentPrompts.of(RECENT, ((stored.seen, stored.vector) for stored in staged)),
            RecentPrompts.of(BLOCKED, ((stored.seen, stored.vector) for stored in blocked)),
        )
        self._known[organization_id] = known
        self._make_room()
        return known

    def _loaded(self, organization_id: UUID, task: asyncio.Task[Known]) -> None:
        self._loading.pop(organization_id, None)
        if not task.cancelled():
            task.exception()  # whoever waits is told; where nobody waits any more, the next prompt tries again

    def _make_room(self) -> None:
        while len(self._known) > 1 and sum(known.size_bytes for known in self._known.values()) > self._most_bytes:
            self._known.popitem(last=False)

    def _refresh_now_and_then(self) -> None:
        now = time.monotonic()
        if self._refreshing is None and now - self._refreshed_at >= SIMILARITY_REFRESH.total_seconds():
            self._refreshed_at = now
            self._refreshing = asyncio.create_task(self._refresh_quietly(), name="refresh prompts")

    async def _refresh_quietly(self) -> None:
        try:
            await self.refresh()
        except (DBAPIError, PsycopgError, NotReady):
            log.warning("earlier prompts of other processes could not be read; trying again", exc_info=True)
        finally:
            self._refreshing = None
