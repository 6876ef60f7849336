"""Whether memory is flat: `python -m benchmarks.memory`.

Prints the resident memory of the process with API and worker every 500 of 5,000 invocations, one in four streamed.
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

TAIL = 0.4
"""Share of the invocations, at the end, over which memory must grow by less than GROWTH_LIMIT: the last 2,000."""
GROWTH_LIMIT = 0.05


async def main(invocations: int, step: int, *, printer: Console) -> int:
    readings: list[float] = []
    async with AsyncExitStack() as opened:
        folder = await opened.enter_async_context(work_folder(keep=False))
        provider_url = await opened.enter_async_context(running_provider(folder))
        stack = await opened.enter_async_context(running_stack(folder, provider_url))
        app = stack.parts()["app"]
        arms = []
        for manner in ("whole", "stream"):
            load = LoadProcess("benchmarks.http_load", stack.base_url, API_KEY, MODEL, manner)
            arms.append(Arm(manner, await opened.enter_async_context(load), {}))
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
    tail = round(invocations * TAIL)
    grown = growth(readings[-(tail // step) - 1 :])
    bar = Bar(f"growth over the last {tail}", grown * 100, GROWTH_LIMIT * 100, "below", "%")
    by_invocations = dict(zip(range(0, invocations + 1, step), readings, strict=True))
    report.finish("memory", printer, {"rss_mib": by_invocations}, [bar])
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description="Is the app's memory flat?")
    parser.add_argument("--quick", action="store_true", help="a tenth: shows that it works, proves nothing")
    options = parser.parse_args()
    size, each = (INVOCATIONS // 10, STEP // 10) if options.quick else (INVOCATIONS, STEP)
    lifetime.run(lambda: main(size, each, printer=report.console()))
