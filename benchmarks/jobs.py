"""Closed-loop load, made in a process of its own so that its CPU is not counted with what it measures.

The parent (`load_process.py`) writes one job a line to the process's standard input and reads one result a line.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field

import orjson


@dataclass(frozen=True, slots=True)
class Job:
    """How much load to make."""

    concurrency: int
    requests: int
    seconds: float
    """No further request begins after this."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One request that got the right answer, in seconds."""

    first: float
    """To the first piece of content."""
    total: float


class Unanswered(Exception):
    """A request that got no answer, or another one than it should."""


@dataclass(slots=True)
class Samples:
    """What a job came to, in seconds."""

    first: list[float] = field(default_factory=list)
    total: list[float] = field(default_factory=list)
    wall: float = 0.0
    errors: int = 0
    first_error: str | None = None


Call = Callable[[], Awaitable[Sample]]


async def run_job(job: Job, call: Call) -> Samples:
    """`job.concurrency` callers, each with one request under way at any time."""
    samples, left = Samples(), job.requests
    began = time.perf_counter()

    async def caller() -> None:
        nonlocal left
        while left > 0 and time.perf_counter() - began < job.seconds:
            left -= 1
            try:
                sample = await call()
            except Unanswered as error:
                samples.errors += 1
                samples.first_error = samples.first_error or str(error)
            else:
                samples.first.append(sample.first)
                samples.total.append(sample.total)

    await asyncio.gather(*(caller() for _ in range(job.concurrency)))
    samples.wall = time.perf_counter() - began
    return samples


async def serve_jobs(call: Call) -> None:
    """Do the jobs that come in on standard input, until it is closed."""
    loop = asyncio.get_running_loop()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        samples = await run_job(Job(**orjson.loads(line)), call)
        sys.stdout.write(orjson.dumps(asdict(samples)).decode() + "\n")
        sys.stdout.flush()
