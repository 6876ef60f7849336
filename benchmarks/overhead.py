"""What governance adds to a call: `python -m benchmarks.overhead`, or `make bench`.

In one run, in alternating rounds, one at a time and 8 and 32 at once: the mock provider called directly, an empty
Temporal workflow on the same server, and a governed invocation, whole and streamed. Each figure is the median over the
rounds. Exit code 1 if a request was not answered; a bar that is missed is printed, and is no error.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import lifetime, report
from benchmarks.bars import Bar
from benchmarks.figures import Figures, median
from benchmarks.jobs import Job
from benchmarks.load_process import LoadProcess
from benchmarks.measure import Arm, BlockFailed, measure
from benchmarks.stack import API_KEY, running_provider, running_stack, work_folder
from benchmarks.wire import MODEL

DIRECT, DIRECT_STREAM, EMPTY, WHOLE, STREAM = (
    "provider directly",
    "provider directly, streamed",
    "empty workflow",
    "governed",
    "governed, streamed",
)

CPU_COLUMNS = ("python", "temporal", "postgres")

BLOCK_SECONDS = 60.0

P50_TIMES_EMPTY, P95_TIMES_EMPTY, THROUGHPUT_TIMES_EMPTY, P95_LIMIT_MS = 1.6, 2.0, 0.7, 150.0
"""The bars: how much a governed answer may add, how many per second it must reach, and the p95 of a single caller."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    rounds: int
    requests: Mapping[int, int]
    """By how many at once: requests of each block."""
    warm_up: int


FULL = Plan(rounds=5, requests={1: 150, 8: 240, 32: 320}, warm_up=60)
QUICK = Plan(rounds=2, requests={1: 40, 8: 64, 32: 96}, warm_up=20)

Measured = dict[int, dict[str, Figures]]
"""By how many at once, by arm."""


async def main(plan: Plan, *, keep: bool, printer: Console) -> int:
    async with AsyncExitStack() as opened:
        folder = await opened.enter_async_context(work_folder(keep=keep))
        arms = await _arms(opened, folder, printer)
        try:
            measured = await _measure(arms, plan, printer)
        except BlockFailed as error:
            printer.print(f"{error}\nThe stack's logs are in {folder} (kept with --keep).", markup=False)
            return 1
    for concurrency, figures in measured.items():
        printer.print(figures_table(concurrency, figures))
    report.finish("overhead", printer, {"figures": measured}, bars(measured))
    return 0


async def _arms(opened: AsyncExitStack, folder: Path, printer: Console) -> list[Arm]:
    printer.print("Starting the provider, the stack and the load …")
    provider_url = await opened.enter_async_context(running_provider(folder))
    stack = await opened.enter_async_context(running_stack(folder, provider_url))
    parts = stack.parts()
    governed = {"python": parts["app"], "temporal": parts["temporal"], "postgres": parts["postgres"]}

    async def load(module: str, *arguments: str) -> LoadProcess:
        return await opened.enter_async_context(LoadProcess(f"benchmarks.{module}", *arguments))

    empty = await load("empty_workflow", stack.temporal_address)
    return [
        Arm(DIRECT, await load("http_load", provider_url, "none", MODEL, "whole"), {}),
        Arm(DIRECT_STREAM, await load("http_load", provider_url, "none", MODEL, "stream"), {}),
        Arm(EMPTY, empty, {"python": empty.process, "temporal": parts["temporal"]}),
        Arm(WHOLE, await load("http_load", stack.base_url, API_KEY, MODEL, "whole"), governed),
        Arm(STREAM, await load("http_load", stack.base_url, API_KEY, MODEL, "stream"), governed),
    ]


async def _measure(arms: Sequence[Arm], plan: Plan, printer: Console) -> Measured:
    for arm in arms:
        for concurrency in plan.requests:
            await measure(arm, Job(concurrency, plan.warm_up, BLOCK_SECONDS))
    rounds: dict[int, dict[str, list[Figures]]] = {c: {arm.name: [] for arm in arms} for c in plan.requests}
    for number in range(1, plan.rounds + 1):
        printer.print(f"Round {number} of {plan.rounds}")
        for concurrency, requests in plan.requests.items():
            for arm in arms:
                rounds[concurrency][arm.name].append(await measure(arm, Job(concurrency, requests, BLOCK_SECONDS)))
    return {c: {name: median(blocks) for name, blocks in by_arm.items()} for c, by_arm in rounds.items()}


def bars(measured: Measured) -> list[Bar]:
    """The bars of the overhead; pure."""
    alone, crowd = measured[1], measured[32]
    direct, empty, whole = alone[DIRECT].total_ms, alone[EMPTY].total_ms, alone[WHOLE].total_ms
    return [
        Bar("p50 added, in empty workflows' p50", (whole.p50 - direct.p50) / empty.p50, P50_TIMES_EMPTY, unit="times"),
        Bar("p95 added, in empty workflows' p95", (whole.p95 - direct.p95) / empty.p95, P95_TIMES_EMPTY, unit="times"),
        Bar(
            "per second at 32, of the empty workflow's",
            crowd[WHOLE].per_second / crowd[EMPTY].per_second,
            THROUGHPUT_TIMES_EMPTY,
            "at least",
            "times",
        ),
        Bar("p95 one at a time, whole", whole.p95, P95_LIMIT_MS, unit="ms"),
        Bar("p95 one at a time, streamed", alone[STREAM].total_ms.p95, P95_LIMIT_MS, unit="ms"),
    ]


def figures_table(concurrency: int, figures: Mapping[str, Figures]) -> Table:
    columns = (
        "arm",
        "p50 ms",
        "p95",
        "p99",
        "first p50",
        "first p95",
        "per s",
        "CPU ms: Python",
        "Temporal",
        "Postgres",
    )
    rows = [(name, *_cells(each)) for name, each in figures.items()]
    return report.table(f"{concurrency} at once", columns, rows)


def _cells(figures: Figures) -> list[str]:
    total, first = figures.total_ms, figures.first_ms
    numbers = [total.p50, total.p95, total.p99, first.p50, first.p95, figures.per_second]
    return [report.number(n) for n in (*numbers, *(figures.cpu_ms.get(part, math.nan) for part in CPU_COLUMNS))]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.overhead", description="What governance adds to a call."
    )
    parser.add_argument("--quick", action="store_true", help="two small rounds: shows that it works, measures roughly")
    parser.add_argument("--keep", action="store_true", help="keep the stack's data and logs")
    options = parser.parse_args()
    lifetime.run(lambda: main(QUICK if options.quick else FULL, keep=options.keep, printer=report.console()))
