"""Measures one block of load: durations from the load's process, CPU from the kernel."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import psutil

from benchmarks.figures import Figures, percentiles
from benchmarks.jobs import Job
from benchmarks.load_process import LoadProcess
from benchmarks.usage import cpu_seconds

SETTLE_S = 0.5
"""After a block, before its CPU is read: workflows are closed after their answers have gone out, and that counts."""


class BlockFailed(Exception):
    """A block in which not every request was answered rightly: its figures would mean nothing."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One thing to measure."""

    name: str
    load: LoadProcess
    processes: Mapping[str, psutil.Process]
    """Whose CPU is counted, by the name that it is counted under."""


async def measure(arm: Arm, job: Job) -> Figures:
    """Raises BlockFailed."""
    before = {part: cpu_seconds(process) for part, process in arm.processes.items()}
    samples = await arm.load.run(job)
    await asyncio.sleep(SETTLE_S)
    answered = len(samples.total)
    if samples.errors or not answered:
        raise BlockFailed(f"{arm.name}, {job.concurrency} at once: {samples.errors} errors; {samples.first_error}")
    used = {part: cpu_seconds(process) - before[part] for part, process in arm.processes.items()}
    return Figures(
        requests=answered,
        errors=samples.errors,
        per_second=answered / samples.wall,
        total_ms=percentiles(samples.total),
        first_ms=percentiles(samples.first),
        cpu_ms={part: seconds * 1000 / answered for part, seconds in used.items()},
    )
