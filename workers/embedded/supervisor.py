"""Starts the parts of the stack in their order, starts again those that die, and stops all of them in reverse order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from customhouse.contracts.errors import NotReady
from workers.embedded.process import ChildProcess

QUICK_FAILURES = 5
"""A part that fails this often, each time within STEADY_S of its start, is given up, and the stack with it."""
STEADY_S = 30.0
"""A part that has run this long is well: its next failure counts as the first."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
"""Between a failure and the next start: doubled each time."""


class Part(Protocol):
    """A server of the stack."""

    @property
    def process(self) -> ChildProcess: ...

    async def start(self) -> None:
        """Start the process and wait until it serves. May be called again once the process has ended."""
        ...

    async def stop(self) -> None: ...


Report = Callable[[str, str], None]
"""Told of each change: the part's name, and its state in a few words."""


class Supervisor:
    """Groups of parts: each group starts together, once the group before it serves."""

    def __init__(self, groups: Sequence[Sequence[Part]], report: Report) -> None:
        self._groups = groups
        self._report = report
        self._forced = False
        self._watchers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Raises what the first part that fails raises; the others of its group are cancelled, and `stop` ends them."""
        for group in self._groups:
            try:
                async with asyncio.TaskGroup() as tasks:
                    for part in group:
                        tasks.create_task(self._start(part))
            except ExceptionGroup as failures:
                raise failures.exceptions[0] from None

    async def watch(self) -> None:
        """Keep all parts alive, until cancelled. Raises NotReady when one cannot be kept alive."""
        self._watchers = [asyncio.create_task(self._keep(part)) for group in self._groups for part in group]
        try:
            await asyncio.gather(*self._watchers)
        finally:
            for watcher in self._watchers:
                watcher.cancel()
            await asyncio.gather(*self._watchers, return_exceptions=True)

    async def stop(self) -> None:
        """The last group first, one part after another, so that calls in flight end before what they stand on."""
        for group in reversed(self._groups):
            for part in reversed(group):
                if part.process.pid is None or part.process.exit_code is not None:
                    continue
                self._report(part.process.spec.name, "stopping")
                if self._forced:
                    part.process.kill()
                await part.stop()
                self._report(part.process.spec.name, "stopped")

    def force(self) -> None:
        """End every process at once; a `stop` under way goes on without waiting."""
        self._forced = True
        for group in self._groups:
            for part in group:
                part.process.kill()

    async def _start(self, part: Part) -> None:
        name = part.process.spec.name
        self._report(name, "starting")
        begin = time.monotonic()
        await part.start()
        self._report(name, f"ready in {time.monotonic() - begin:.1f} s")

    async def _keep(self, part: Part) -> None:
        name = part.process.spec.name
        failures = 0
        while True:
            began = time.monotonic()
            await part.process.wait()
            failures = failures + 1 if time.monotonic() - began < STEADY_S else 1
            reason = part.process.obituary()
            while True:
                if failures >= QUICK_FAILURES:
                    raise NotReady(f"{name} has failed {failures} times in a row and is given up. {reason}")
                self._report(name, f"restarting: {reason}")
                await asyncio.sleep(min(FIRST_PAUSE_S * 2 ** (failures - 1), LONGEST_PAUSE_S))
                try:
                    await self._start(part)
                    break
                except NotReady as error:
                    await part.stop()  # it may be alive and just not serving
                    failures += 1
                    reason = str(error)
