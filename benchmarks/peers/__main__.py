"""Beside LiteLLM's proxy: `python -m benchmarks.peers`, or `make bench-peers`.

The peers' harness measures both in one run, in turns, one at a time and 8 and 32 at once, whole and streamed. Of us
the CPU of the whole stack is counted, Temporal and Postgres included; LiteLLM's proxy keeps nothing, and has neither.
Exit code 1 if a request was not answered; a bar that is missed is printed, and is no error.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, astuple
from pathlib import Path
from types import ModuleType

from rich.console import Console
from rich.table import Table

from benchmarks import lifetime, report
from benchmarks.bars import Bar
from benchmarks.measure import BlockFailed
from benchmarks.peers import litellm
from benchmarks.peers.figures import Manner, PeerFigures, bars, median, next_mark
from benchmarks.peers.harness import DEFAULT_PATH, Gateway, Size, load_harness, measure
from benchmarks.stack import API_KEY, running_provider, running_stack, work_folder
from benchmarks.wire import MODEL

FULL = Size(rounds=3, warm_up=30, sequential=300, streamed=100, at_once=600, streamed_at_once=300)
QUICK = Size(rounds=1, warm_up=10, sequential=60, streamed=30, at_once=96, streamed_at_once=64)
REPEATS = 2

OURS = "Customhouse"

Measured = dict[str, list[dict[Manner, PeerFigures]]]
"""By arm, the repeats."""


async def main(
    harness: ModuleType, size: Size, repeats: int, workers: Sequence[int], *, keep: bool, printer: Console
) -> int:
    printer.print(f"Installing {', '.join(litellm.PACKAGES)} …", markup=False)
    await asyncio.to_thread(litellm.install)
    measured: Measured = {}
    async with work_folder(keep=keep) as folder:
        for number in range(1, repeats + 1):
            for count in (None, *workers):
                arm = OURS if count is None else _peer(count)
                printer.print(f"Repeat {number} of {repeats}: {arm}")
                place = folder / f"{number}-{count or 0}"
                place.mkdir()
                try:
                    measured.setdefault(arm, []).append(await _measure(harness, place, size, count))
                except BlockFailed as error:
                    printer.print(str(error), markup=False)
                    return 1
    figures = {
        arm: {manner: median([each[manner] for each in rounds]) for manner in rounds[0]}
        for arm, rounds in measured.items()
    }
    printer.print(figures_table(figures))
    told = {arm: {str(manner): asdict(each) for manner, each in by.items()} for arm, by in figures.items()}
    report.finish("peers", printer, {"packages": litellm.PACKAGES, "figures": told}, _bars(figures, workers))
    return 0


async def _measure(harness: ModuleType, folder: Path, size: Size, workers: int | None) -> dict[Manner, PeerFigures]:
    """Ours, or LiteLLM with so many workers: started for this alone, so that nothing idles beside what is measured."""
    async with AsyncExitStack() as opened:
        provider_url = await opened.enter_async_context(running_provider(folder))
        if workers is None:
            stack = await opened.enter_async_context(running_stack(folder, provider_url))
            gateway = Gateway(OURS, stack.base_url, API_KEY, MODEL, stack.supervisor.pid)
        else:
            url, process = await opened.enter_async_context(litellm.running_litellm(folder, provider_url, workers))
            gateway = Gateway(_peer(workers), url, litellm.MASTER_KEY, litellm.MODEL, process.pid)
        return await measure(harness, gateway, provider_url, size)


def _peer(workers: int) -> str:
    return f"LiteLLM, {workers} worker{'s' if workers > 1 else ''}"


def _bars(figures: Mapping[str, Mapping[Manner, PeerFigures]], workers: Sequence[int]) -> list[Bar]:
    ours = figures[OURS]
    made = bars(ours, figures[_peer(1)]) if 1 in workers else []
    for count in workers:
        if count > 1:
            made += next_mark(ours, figures[_peer(count)], count)
    return made


def figures_table(measured: Mapping[str, Mapping[Manner, PeerFigures]]) -> Table:
    """The columns are PeerFigures' fields."""
    columns = ("arm", "p50 ms", "p95", "added p50", "added p95", "first added p50", "per s", "CPU ms")
    rows = []
    for arm, by_manner in measured.items():
        for manner, figures in sorted(by_manner.items(), key=lambda each: (each[0].stream, each[0].at_once)):
            rows.append((f"{arm}: {manner}", *map(report.number, astuple(figures))))
    return report.table("Beside each other", columns, rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description="Beside LiteLLM's proxy.")
    parser.add_argument("--quick", action="store_true", help="one small round: shows that it works, measures roughly")
    parser.add_argument("--workers", type=int, nargs="+", default=[1], help="LiteLLM's, each number an arm of its own")
    parser.add_argument("--harness", type=Path, default=DEFAULT_PATH, help="path of the peers' `load.py`")
    parser.add_argument("--keep", action="store_true", help="keep the stack's data and logs")
    options = parser.parse_args()
    lifetime.run(
        lambda: main(
            load_harness(options.harness),
            QUICK if options.quick else FULL,
            1 if options.quick else REPEATS,
            options.workers,
            keep=options.keep,
            printer=report.console(),
        )
    )
