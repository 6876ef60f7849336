"""Tiny programs that stand in for the servers of the stack, and what to wait for them with."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from workers.embedded.process import ChildProcess, ProcessSpec

SLEEPER = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPER}"
PARENT = f"import subprocess; subprocess.Popen(['sleep', '600']); {SLEEPER}"
CRASHER = "import sys; print('no such table: dreams', flush=True); sys.exit(3)"


def child(folder: Path, program: str, name: str = "Sleeper", **spec: Any) -> ChildProcess:
    slug = name.lower()
    return ChildProcess(
        ProcessSpec(name, (sys.executable, "-S", "-c", program), folder / f"{slug}.log", dict(os.environ), **spec),
        folder / f"{slug}.pid",
    )


class FakePart:
    """A part of the stack that serves once its log says `up`."""

    def __init__(self, process: ChildProcess) -> None:
        self.process = process
        self.starts = 0

    async def start(self) -> None:
        self.starts += 1
        self.process.spec.log.write_text("")
        await self.process.start()
        await self.process.wait_ready(self._says_up, timeout_s=10)

    async def stop(self) -> None:
        await self.process.stop()

    async def _says_up(self) -> bool:
        return "up" in self.process.spec.log.read_text()


async def until(condition: Callable[[], bool], what: str) -> None:
    """Poll for a condition; fails after 10 s."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, f"not within 10 s: {what}"
        await asyncio.sleep(0.01)


def is_gone(pid: int) -> bool:
    """Has the process ended, whether or not its parent has taken notice?"""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
