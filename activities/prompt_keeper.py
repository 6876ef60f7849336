"""Keeps the index of prompts while the process runs: takes in what is staged, and lets go what is old."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from datetime import timedelta
from types import TracebackType
from typing import Self

from psycopg import Error as PsycopgError
from sqlalchemy.exc import DBAPIError

from customhouse.contracts.errors import NotReady
from customhouse.contracts.timing import SIMILARITY_AGE_OUT_EVERY, SIMILARITY_INDEX_PAUSE, SIMILARITY_SETTLED
from customhouse.storage.prompt_index import PromptIndex

log = logging.getLogger(__name__)

BATCH = 100
"""Prompts a transaction: some 0.2 s in an index of a million."""


class PromptKeeper:
    """Runs in every process that clears calls; one of them at a time has the work. Use as an async context manager.

    Nothing breaks while it does not run: prompts stay in memory and in the staging table, and are found there.
    """

    def __init__(
        self,
        index: PromptIndex,
        *,
        retention: timedelta,
        settled: timedelta = SIMILARITY_SETTLED,
        pause: tuple[timedelta, timedelta] = SIMILARITY_INDEX_PAUSE,
    ) -> None:
        """`retention`: how long prompts are kept."""
        self._index = index
        self._retention = retention
        self._settled = settled
        self._busy_s, self._idle_s = (each.total_seconds() for each in pause)
        self._aged_out_at: float | None = None
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="prompt keeper")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Waits for the batch at hand: to cancel it would leave a connection behind in the middle of a statement."""
        self._stopping.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while not self._stopping.is_set():
            taken = 0
            try:
                taken = await self._index.move(BATCH, settled=self._settled)
                await self._age_out_now_and_then()
            except (DBAPIError, PsycopgError, NotReady):
                log.warning("the index of prompts could not be kept; trying again", exc_info=True)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._busy_s if taken == BATCH else self._idle_s):
                    await self._stopping.wait()

    async def _age_out_now_and_then(self) -> None:
        now = time.monotonic()
        if self._aged_out_at is not None and now - self._aged_out_at < SIMILARITY_AGE_OUT_EVERY.total_seconds():
            return
        self._aged_out_at = now
        deleted = await self._index.age_out(self._retention)
        if deleted:
            log.info("%d prompts have aged out", deleted)
