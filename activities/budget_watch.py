"""Tells operators when a budget passes one of its thresholds: in the background, right after the call."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import timedelta
from types import TracebackType
from typing import Self

from psycopg import Error as PsycopgError
from sqlalchemy.exc import DBAPIError

from customhouse.contracts.budgets import BUDGETS_CHANNEL
from customhouse.contracts.errors import NotReady
from customhouse.contracts.timing import BUDGET_WATCH_INTERVAL
from customhouse.storage.budget_alerts import BudgetThresholds
from customhouse.storage.bus import Bus, Subscription

log = logging.getLogger(__name__)


class BudgetWatch:
    """Looks whenever a threshold is passed in any process, and now and then. Use as an async context manager."""

    def __init__(self, bus: Bus, thresholds: BudgetThresholds, interval: timedelta = BUDGET_WATCH_INTERVAL) -> None:
        self._bus = bus
        self._thresholds = thresholds
        self._interval_s = interval.total_seconds()
        self._passed = asyncio.Event()
        self._passed.set()  # what was passed before this process began
        self._subscription: Subscription | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._subscription = await self._bus.subscribe(
            BUDGETS_CHANNEL, lambda _: self._passed.set(), on_gap=self._passed.set
        )
        self._task = asyncio.create_task(self._run(), name="budget watch")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._subscription is not None:
            self._bus.unsubscribe(self._subscription)
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._interval_s):
                    await self._passed.wait()
            self._passed.clear()
            try:
                await self._thresholds.tell()
            except (NotReady, DBAPIError, PsycopgError) as error:
                log.warning("budgets could not be looked at, later again", extra={"error": type(error).__name__})
