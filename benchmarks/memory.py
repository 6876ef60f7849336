"""Whether memory is flat: `python -m benchmarks.memory`.

Prints the resident memory of the process with API and worker every 500 of 5,000 invocations, a quarter of them streamed.
"""

from __future__ import annotations

import argparse
from contextlib import AsyncExitStack

from rich.console import Console

from benchmarks import lifetime, report
from benchmarks.bars import Bar
from benchmarks.figures import growth
from benchmarks.jobs import Job
from benchmarks.load_process import LoadProcess
from benchmarks.measure import Arm, BlockFailed, measure
from benchmarks.stack import API_KEY, running_provider, running_stack, work_folder
from benchmarks.usage import rss_mib
from benchmarks.wire import MODEL

INVOCATIONS, STEP = 5000, 500
STREAMED_SHARE = 4
"""One in so many."""
CONCURRENCY = 8
BLOCK_SECONDS = 120.0

FLAT_OVER = 2000
"""Invocations at the end over which memory must not grow by more than GROWTH_LIMIT."""
GROWTH_LIMIT = 0.05


async def main(invocations: int, step: int, *, printer: Console) -> int:
    readings: list[float] = []
    async with AsyncExitStack() as opened:
        folder = await opened.enter_async_context(work_folder(keep=False))
        provider_url = await opened.enter_async_context(running_provider(folder))
        stack = await opened.enter_async_context(running_stack(folder, provider_url))
        app = stack.parts()["app"]
        arms = [
            Arm(manner, await opened.enter_async_context(LoadProcess("benchmarks.http_load", *arguments)), {})
            for manner in ("whole", "stream")
            for arguments in [(stack.base_url, API_KEY, MODEL, manner)]
        ]
        streamed = step // STREAMED_SHARE
        readings.append(rss_mib(app))
        printer.print(f"{0:>6} invocations: {readings[-1]:7.1f} MiB")
        for done in range(step, invocations + 1, step):
            try:
                for arm, requests in zip(arms, (step - streamed, streamed), strict=True):
                    await measure(arm, Job(CONCURRENCY, requests, BLOCK_SECONDS))
            except BlockFailed as error:
                printer.print(str(error), markup=False)
                return 1
            readings.append(rss_mib(app))
            printer.print(f"{done:>6} invocations: {readings[-1]:7.1f} MiB")
    tail = readings[-(FLAT_OVER // step) - 1 :]
    bar = Bar(f"growth over the last {FLAT_OVER}", growth(tail) * 100, GROWTH_LIMIT * 100, "below", "%")
    report.finish(
        "memory", printer, {"rss_mib": dict(zip(range(0, invocations + 1, step), readings, strict=True))}, [bar]
    )
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.memory", description="Whether the app's memory is flat."
    )
    parser.add_argument("--quick", action="store_true", help="a tenth: shows that it works, proves nothing")
    options = parser.parse_args()
    size, each = (INVOCATIONS // 10, STEP // 10) if options.quick else (INVOCATIONS, STEP)
    lifetime.run(main(size, each, printer=report.console()))
