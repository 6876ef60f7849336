"""SIGKILL for parts of the stack, no faster than its supervisor forgives, and waiting until it serves again."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import psutil

from benchmarks.stack import PARTS, Stack
from customhouse.contracts.errors import NotReady
from workers.embedded.supervisor import QUICK_FAILURES, STEADY_S

POLL_S = 0.05
READY_TIMEOUT_S = 60.0
GONE_TIMEOUT_S = 5.0
STEADY_MARGIN_S = 1.0


class Killer:
    """Kills one part at a time, and counts as the supervisor does: it gives up a part that dies too often."""

    def __init__(self, stack: Stack, session: aiohttp.ClientSession) -> None:
        self._stack = stack
        self._session = session
        self._serving: dict[str, tuple[int, float]] = {}
        """By part: its pid and since when (monotonic) it has been seen to serve."""
        self._quick_failures = dict.fromkeys(PARTS, 0)
        self.kills = dict.fromkeys(PARTS, 0)

    async def ready(self, part: str) -> None:
        """Wait until the whole stack serves, and until the supervisor will forgive another death of `part`."""
        await self._served()
        since = self._serving[part][1]
        if self._quick_failures[part] >= QUICK_FAILURES - 2:
            await asyncio.sleep(max(0.0, since + STEADY_S + STEADY_MARGIN_S - time.monotonic()))
            await self._served()

    def kill(self, part: str) -> psutil.Process:
        """SIGKILL, now."""
        process = self._stack.parts()[part]
        process.kill()
        is_steady = time.monotonic() - self._serving[part][1] > STEADY_S
        self._quick_failures[part] = 1 if is_steady else self._quick_failures[part] + 1
        self.kills[part] += 1
        return process

    async def kill_and_wait(self, part: str) -> None:
        """SIGKILL, and back once the kernel has taken it away."""
        process = self.kill(part)
        await asyncio.to_thread(psutil.wait_procs, [process], GONE_TIMEOUT_S)

    async def _served(self) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not await self._is_ready():
            if time.monotonic() > deadline:
                raise NotReady(
                    f"The stack did not come back within {READY_TIMEOUT_S:.0f} s; see {self._stack.run.parent}."
                )
            await asyncio.sleep(POLL_S)
        for part, process in self._stack.parts().items():
            if self._serving.get(part, (0, 0.0))[0] != process.pid:
                self._serving[part] = (process.pid, time.monotonic())

    async def _is_ready(self) -> bool:
        if any(self._stack.part(part) is None for part in PARTS):
            return False
        url = self._stack.base_url.removesuffix("/v1") + "/readyz"
        try:
            async with self._session.get(url, timeout=aiohttp.ClientTimeout(total=5)) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError, ConnectionError):  # down, which is what this waits out
            return False
