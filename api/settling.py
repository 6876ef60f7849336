"""Corrects what the rate limits counted of a call, once it is known what it used."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any
from uuid import UUID

from activities.limiter import Admission, Limiter
from activities.live import Live
from customhouse.contracts.errors import CustomhouseError
from customhouse.contracts.timing import SETTLE_PATIENCE

log = logging.getLogger(__name__)


class Settling:
    """Follows admitted calls to their end in tasks of its own, whether their callers wait for it or not.

    A call without limits on tokens or dollars costs nothing here.
    """

    def __init__(self, limiter: Limiter, live: Live) -> None:
        self._limiter = limiter
        self._live = live
        self._tasks: set[asyncio.Task[None]] = set()

    def follow(self, admission: Admission | None, invocation_id: UUID, deadline_s: float) -> None:
        """A new invocation that has been started. Call it while somebody follows the invocation."""
        if admission is not None and admission.charges:
            self._keep(self._follow(admission, invocation_id, deadline_s))

    def release(self, admission: Admission | None) -> None:
        """The call made no invocation of its own, so it uses nothing."""
        if admission is not None and admission.charges:
            self._keep(self._limiter.settle(admission, None, None))

    async def _follow(self, admission: Admission, invocation_id: UUID, deadline_s: float) -> None:
        with self._live.watching(invocation_id) as live:
            try:
                async with asyncio.timeout(deadline_s + SETTLE_PATIENCE.total_seconds()):
                    while (result := live.result) is None:
                        await live.changed.wait()
            except TimeoutError:
                return  # nobody here hears of its end any more: it counts as it was estimated
        await self._limiter.settle(admission, result.usage, result.usd_cost)

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if task.cancelled() or (error := task.exception()) is None:
                return
            reason = error.message if isinstance(error, CustomhouseError) else repr(error)
            log.warning("the limits count a call as it was estimated", extra={"error": reason})

        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(ended)
