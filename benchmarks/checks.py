"""What each check costs a request: `python -m benchmarks.checks`, or `make bench-checks`.

In this process, on one thread, over benign prompts of a hundred words that no two are alike: the first look of every
check, the thorough look of those that are not sure, and how often that is. What it comes to on the way to an answer is
measured end to end by `--whole`: the stack with all checks and with none, in alternating rounds, before a provider
that answers at once and one that takes 300 ms.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from rich.console import Console

from benchmarks import lifetime, report
from benchmarks.bars import Bar
from benchmarks.benign import benign_prompts
from benchmarks.figures import Figures, Percentiles, median, percentiles
from benchmarks.jobs import Job
from benchmarks.load_process import LoadProcess
from benchmarks.measure import Arm, BlockFailed, measure
from benchmarks.stack import API_KEY, running_provider, running_stack, work_folder
from benchmarks.wire import MODEL
from customhouse.contracts.governance import Direction, InspectionContext
from customhouse.governance.checks.base import Passage, TieredCheck
from customhouse.governance.checks.suite import AnyCheck, is_tiered, run
from workers.inspection import inspector_of
from workers.settings import load_settings

P50_MS, CPU_MS = 8.0, 15.0
"""Aims: what all checks together add to a prompt's way, and what they cost on average over benign traffic."""

DELAYS_MS = (0, 300)
SEED = 20261124
CONTEXT = InspectionContext()


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one look, in milliseconds."""

    wall: Percentiles
    cpu_ms: float
    """On average."""
    share: float
    """Of the prompts that it was taken at."""


def costs(checks: Sequence[AnyCheck], prompts: Sequence[str]) -> dict[str, Cost]:
    """By check, the thorough look of a tiered one apart. Passages are new for each: so a check alone would cost."""
    found: dict[str, Cost] = {}
    for check in checks:
        found[check.name] = _cost(prompts, partial(_first_look, check))
        if is_tiered(check):
            doubtful = [text for text in prompts if check.glance([_passage(text)], CONTEXT).doubtful]
            cost = _cost(doubtful, partial(_thorough_look, check))
            found[f"{check.name}, thorough"] = Cost(cost.wall, cost.cpu_ms, len(doubtful) / len(prompts))
    return found


def _first_look(check: AnyCheck, passage: Passage) -> None:
    run(check, [passage], Direction.INPUT, CONTEXT)


def _thorough_look(check: TieredCheck, passage: Passage) -> None:
    check.study([passage], CONTEXT)


def _cost(prompts: Sequence[str], look: Callable[[Passage], None]) -> Cost:
    walls, cpu = [], time.process_time()
    for text in prompts:
        passage, began = _passage(text), time.perf_counter()
        look(passage)
        walls.append(time.perf_counter() - began)
    used_ms = (time.process_time() - cpu) * 1000
    return Cost(percentiles(walls), used_ms / len(prompts) if prompts else 0.0, 1.0)


def _passage(text: str) -> Passage:
    return Passage("messages.0.content", text, "user")


def costs_table(found: dict[str, Cost], printer: Console) -> None:
    columns = ("check", "p50 ms", "p95", "CPU ms", "of prompts", "CPU ms a call")
    rows = [
        (
            name,
            *map(report.number, (cost.wall.p50, cost.wall.p95, cost.cpu_ms)),
            f"{cost.share:.1%}",
            report.number(cost.cpu_ms * cost.share),
        )
        for name, cost in found.items()
    ]
    printer.print(report.table("Each check by itself, one thread, 100-word benign prompts", columns, rows))


async def whole(rounds: int, requests: int, *, keep: bool, printer: Console) -> dict[str, Figures]:
    """The stack with all checks and with none, one at a time. Raises BlockFailed."""
    async with AsyncExitStack() as opened:
        folder = await opened.enter_async_context(work_folder(keep=keep))
        arms: list[Arm] = []
        for delay_ms in DELAYS_MS:
            (folder / f"provider-{delay_ms}").mkdir()
            provider = await opened.enter_async_context(
                running_provider(folder / f"provider-{delay_ms}", delay_ms=delay_ms)
            )
            for name, off in (("all checks", ""), ("no checks", "*")):
                place = folder / f"{name}-{delay_ms}".replace(" ", "-")
                place.mkdir()
                stack = await opened.enter_async_context(
                    running_stack(place, provider, {"CUSTOMHOUSE_DISABLED_CHECKS": off})
                )
                load = LoadProcess("benchmarks.http_load", stack.base_url, API_KEY, MODEL, "whole", "benign")
                parts = stack.parts()
                arms.append(
                    Arm(
                        f"{name}, provider {delay_ms} ms",
                        await opened.enter_async_context(load),
                        {"python": parts["app"], "temporal": parts["temporal"], "postgres": parts["postgres"]},
                    )
                )
        blocks: dict[str, list[Figures]] = {arm.name: [] for arm in arms}
        for arm in arms:
            await measure(arm, Job(1, 30, 60))
        for number in range(1, rounds + 1):
            printer.print(f"Round {number} of {rounds}")
            for arm in arms:
                blocks[arm.name].append(await measure(arm, Job(1, requests, 120)))
        return {name: median(each) for name, each in blocks.items()}


async def main(*, end_to_end: bool, quick: bool, keep: bool, printer: Console) -> int:
    suite = inspector_of(load_settings(), os.environ).suite
    prompts = benign_prompts(60 if quick else 400, SEED)
    costs(suite.checks(Direction.INPUT), benign_prompts(20, SEED + 1))  # warm
    found = costs(suite.checks(Direction.INPUT), prompts)
    costs_table(found, printer)
    bars = [
        Bar(
            "p50 of all first looks",
            sum(c.wall.p50 for n, c in found.items() if "thorough" not in n),
            P50_MS,
            unit="ms",
        ),
        Bar("CPU a call, thorough looks included", sum(c.cpu_ms * c.share for c in found.values()), CPU_MS, unit="ms"),
    ]
    result: dict[str, object] = {"checks": found}
    if end_to_end:
        try:
            figures = await whole(2 if quick else 5, 40 if quick else 100, keep=keep, printer=printer)
        except BlockFailed as error:
            printer.print(str(error), markup=False)
            return 1
        columns = ("arm", "p50 ms", "p95", "CPU ms: Python", "Temporal", "Postgres")
        rows = [
            (name, *map(report.number, (f.total_ms.p50, f.total_ms.p95, *f.cpu_ms.values())))
            for name, f in figures.items()
        ]
        printer.print(report.table("End to end, one at a time", columns, rows))
        for delay_ms in DELAYS_MS:
            on, off = (figures[f"{name}, provider {delay_ms} ms"] for name in ("all checks", "no checks"))
            bars += [
                Bar(f"p50 added, provider {delay_ms} ms", on.total_ms.p50 - off.total_ms.p50, P50_MS, unit="ms"),
                Bar(
                    f"CPU added, provider {delay_ms} ms",
                    sum(on.cpu_ms.values()) - sum(off.cpu_ms.values()),
                    CPU_MS,
                    unit="ms",
                ),
            ]
        result["whole"] = figures
    report.finish("checks", printer, result, bars)
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checks", description="What each check costs a request.")
    parser.add_argument("--whole", action="store_true", help="also the stack with all checks and with none")
    parser.add_argument("--quick", action="store_true", help="few prompts: shows that it works, measures roughly")
    parser.add_argument("--keep", action="store_true", help="keep the stacks' data and logs")
    options = parser.parse_args()
    lifetime.run(
        lambda: main(end_to_end=options.whole, quick=options.quick, keep=options.keep, printer=report.console())
    )
