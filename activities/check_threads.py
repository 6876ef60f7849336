"""Threads for checks that are heavy, or that hang: bounded for each check, and never waited for longer than allowed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

THREADS_A_CHECK = 4
"""Looks of one check at a time. One that hangs holds its thread for good, so at most this many are lost to it."""


class CheckThreads:
    """Runs a check's look in a thread of its own.

    Not a pool: a pool's threads are joined when the process ends, and one that hangs would keep it from ending.
    """

    def __init__(self, threads_a_check: int = THREADS_A_CHECK) -> None:
        self._size = threads_a_check
        self._free: dict[str, asyncio.Semaphore] = {}

    async def run(self, check: str, look: Callable[[], T], deadline_s: float) -> T:
        """Raises what `look` raises, and TimeoutError where it is not done in time, waiting for a thread included."""
        free = self._free.setdefault(check, asyncio.Semaphore(self._size))
        async with asyncio.timeout(deadline_s):
            await free.acquire()
            return await _in_thread(check, look, free.release)


async def _in_thread(check: str, look: Callable[[], T], done: Callable[[], None]) -> T:
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: BaseException | None) -> None:
        done()
        if result.done():  # nobody waits any more
            return
        if error is not None:
            result.set_exception(error)
        else:
            result.set_result(value)  # type: ignore[arg-type]  # None only where T allows it

    def work() -> None:
        value, error = None, None
        try:
            value = look()
        except BaseException as raised:  # noqa: BLE001 - handed over, as an executor does
            error = raised
        try:
            loop.call_soon_threadsafe(settle, value, error)
        except RuntimeError:  # the loop was closed meanwhile: the process is about to end
            return

    threading.Thread(target=work, name=f"check-{check}", daemon=True).start()
    return await result
