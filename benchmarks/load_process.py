"""The parent's side of a process that makes load (`jobs.py`)."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import asdict
from pathlib import Path

import orjson
import psutil

import benchmarks
from benchmarks.jobs import Job, Samples
from workers.embedded import launch

LINE_LIMIT_BYTES = 16 * 1024 * 1024
"""Of one job's result: about 40 bytes a request."""

STOP_TIMEOUT_S = 15.0


class LoadProcess:
    """`python -m MODULE ARGUMENTS`, an async context manager. It dies with this process, however that ends."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._module = module
        self._arguments = arguments
        self._process: Process | None = None

    async def __aenter__(self) -> LoadProcess:
        parent = (str(os.getpid()), str(int(signal.SIGKILL)), "")
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", launch.__file__, *parent),
            *(sys.executable, "-m", self._module, *self._arguments),
            stdin=PIPE,
            stdout=PIPE,
            limit=LINE_LIMIT_BYTES,
            env=environ,
            cwd=Path(benchmarks.__file__).parent.parent,
            start_new_session=True,  # Ctrl-C reaches the benchmark alone, which then ends its children in order
        )
        await self._read_line()
        return self

    async def __aexit__(self, *_: object) -> None:
        process = self._running()
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            process.kill()
            await process.wait()

    @property
    def process(self) -> psutil.Process:
        return psutil.Process(self._running().pid)

    async def run(self, job: Job) -> Samples:
        process = self._running()
        if process.stdin is None:
            raise RuntimeError(f"{self._module} has no standard input")
        process.stdin.write(orjson.dumps(asdict(job)) + b"\n")
        await process.stdin.drain()
        return Samples(**orjson.loads(await self._read_line()))

    async def _read_line(self) -> bytes:
        process = self._running()
        line = await process.stdout.readline() if process.stdout is not None else b""
        if not line:
            raise RuntimeError(f"{self._module} ended with exit code {await process.wait()}; what it said is above")
        return line

    def _running(self) -> Process:
        if self._process is None:
            raise RuntimeError(f"{self._module} has not been started")
        return self._process
