"""What survives SIGKILL: `python -m benchmarks.chaos`, or `make chaos`.

200 invocations, in batches, each with one kill: of the process with API and worker at every boundary between two steps
and at random, of Temporal, of Postgres. Clients ask again with their Idempotency-Key until there is an answer or an
explicit failure. Then the ledger is audited. Exit code 1 unless nothing was lost, billed twice or left unaccounted for.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import aiohttp
from rich.console import Console

from benchmarks import lifetime, report
from benchmarks.bars import Bar
from benchmarks.chaos.audit import Audit, audit
from benchmarks.chaos.client import Ask, Client, End, Fate
from benchmarks.chaos.killer import Killer
from benchmarks.chaos.provider import ChaosProvider, serving
from benchmarks.chaos.scenarios import LONGEST_PAUSE_S, Arena, Scenario, all_scenarios
from benchmarks.stack import Stack, running_stack, work_folder
from benchmarks.wire import unique_prompt

INVOCATIONS, QUICK_INVOCATIONS = 200, 48
TIME_LIMIT_S = 300.0
"""For all scenarios; those that do not fit in are reported as not run, which fails."""
CLIENT_PATIENCE_S = 100.0
CALM_KEY, CALM_PATIENCE_S = "chaos-before-all", 30.0
"""Of the first call, before anything is killed."""
FINISH_TIMEOUT_S = 60.0
"""For invocations whose clients have gone."""
STREAMED_SHARE = 3
"""One in so many."""
STAGGER_S = 1.0
REASONS_SHOWN = 10


@dataclass(slots=True)
class Tally:
    """What happened."""

    ends: list[End] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    """Scenarios whose moment never came, or that were not run."""
    replays_that_differ: int = 0

    def count(self, fate: Fate) -> int:
        return sum(end.fate is fate for end in self.ends)


async def main(invocations: int, only: str, seed: int, *, keep: bool, printer: Console) -> int:
    printer.print(f"Seed {seed}")
    generator = random.Random(seed)
    scenarios = [scenario for scenario in all_scenarios() if only in scenario.name]
    provider, tally = ChaosProvider(generator, LONGEST_PAUSE_S), Tally()
    async with AsyncExitStack() as opened:
        folder = await opened.enter_async_context(work_folder(keep=keep))
        provider_url = await opened.enter_async_context(serving(provider))
        stack = await opened.enter_async_context(running_stack(folder, provider_url))
        # Every try on a connection of its own: a pooled one may be to a process that was killed.
        session = await opened.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))
        )
        client, killer = Client(session, stack.base_url), Killer(stack, session)
        arena = Arena(stack.dsn, provider, killer, generator)
        batches = _batches(scenarios, invocations, generator)
        await killer.ready("app")
        calm = await client.pursue(
            Ask(CALM_KEY, f"{CALM_KEY} {unique_prompt(generator)}", stream=False), CALM_PATIENCE_S
        )
        if calm.fate is not Fate.COMPLETED:
            printer.print(f"Before anything was killed, a call was {calm.fate}: {calm.detail}", markup=False)
            return 1
        await _run(batches, arena, client, tally, printer)
        await killer.ready("app")
        found = await _audited(stack, provider)
        tally.replays_that_differ = await _replay(batches, client, tally)
        after = await _audited(stack, provider)
    made = bars(tally, found, after)
    _show(tally, found, printer)
    result = {
        "seed": seed,
        "invocations": len(tally.ends),
        "fates": {fate.value: tally.count(fate) for fate in Fate},
        "reasons": [{"fate": fate, "detail": detail, "count": n} for (fate, detail), n in _reasons(tally)],
        "missed": tally.missed,
        "kills": killer.kills,
        "audit": found,
    }
    report.finish("chaos", printer, result, made)
    return 0 if all(bar.is_met for bar in made) else 1


Batch = tuple[Scenario, list[Ask]]


def _batches(scenarios: Sequence[Scenario], invocations: int, generator: random.Random) -> list[Batch]:
    """The invocations, dealt out evenly."""
    batches: list[Batch] = [(scenario, []) for scenario in scenarios]
    for number in range(invocations):
        scenario, asks = batches[number % len(batches)]
        key = f"chaos-{_letters(number % len(batches))}-{_letters(number // len(batches))}"
        stream = scenario.stream if scenario.stream is not None else len(asks) % STREAMED_SHARE == 0
        asks.append(Ask(key, f"{key} {unique_prompt(generator)}", stream))
    return batches


def _letters(number: int) -> str:
    """A number in letters, so that no check takes it for somebody's account or telephone."""
    return "".join(chr(ord("a") + int(digit)) for digit in str(number))


async def _run(batches: Sequence[Batch], arena: Arena, client: Client, tally: Tally, printer: Console) -> None:
    began = time.monotonic()
    for scenario, asks in batches:
        if time.monotonic() - began > TIME_LIMIT_S:
            tally.missed.append(f"{scenario.name} (no time left)")
            continue
        await arena.killer.ready(scenario.part)
        at, ends, struck = time.monotonic(), *await _one(scenario, asks, arena, client)
        tally.ends += ends
        if not struck:
            tally.missed.append(scenario.name)
        fates = Counter(end.fate.value for end in ends)
        told = ", ".join(f"{count} {fate}" for fate, count in sorted(fates.items()))
        missed = "" if struck else " (MISSED its moment)"
        printer.print(f"{scenario.name:<48}{missed} {told}, in {time.monotonic() - at:.1f} s", markup=False)


async def _one(scenario: Scenario, asks: Sequence[Ask], arena: Arena, client: Client) -> tuple[list[End], bool]:
    begun: list[asyncio.Task[End]] = []

    async def late(ask: Ask) -> End:
        await asyncio.sleep(arena.random.uniform(0, STAGGER_S) if scenario.is_staggered else 0)
        return await client.pursue(ask, CLIENT_PATIENCE_S)

    def begin() -> None:
        begun.extend(asyncio.create_task(late(ask)) for ask in asks)

    struck = await scenario.strike(arena, begin)
    return list(await asyncio.gather(*begun)), struck


async def _audited(stack: Stack, provider: ChaosProvider) -> Audit:
    """The audit, once every invocation has ended or FINISH_TIMEOUT_S has passed."""
    deadline = time.monotonic() + FINISH_TIMEOUT_S
    while True:
        found = await audit(stack.dsn, provider.calls)
        if not found.unfinished or time.monotonic() > deadline:
            return found
        await asyncio.sleep(1)


async def _replay(batches: Sequence[Batch], client: Client, tally: Tally) -> int:
    """Ask everything once more, now that all is calm: the same end, of the same invocation?"""
    ends, differ = {end.key: end for end in tally.ends}, 0
    for _, asks in batches:
        for ask in asks:
            if ask.key not in ends or ends[ask.key].fate is Fate.LOST:
                continue
            again, before = await client.pursue(ask, CLIENT_PATIENCE_S), ends[ask.key]
            differ += (again.fate, again.invocation_id) != (before.fate, before.invocation_id)
    return differ


def bars(tally: Tally, found: Audit, after_replay: Audit) -> list[Bar]:
    """All must be met."""
    nothing = {
        "invocations without an end (clients')": tally.count(Fate.LOST),
        "invocations without an end (ledger's)": found.unfinished,
        "completed without an answer (ledger's)": found.completed_without_answer,
        "wrong answers": tally.count(Fate.WRONG),
        "invocations billed for two answers": found.billed_twice,
        "attempts never settled": found.open_attempts,
        "settled attempts without just one cost row": found.attempts_without_one_cost_row,
        "cost rows without an attempt": found.cost_rows_without_attempt,
        "provider calls without an attempt": found.calls_without_attempt,
        "replays that differ": tally.replays_that_differ,
        "provider calls that replays made": after_replay.provider_calls - found.provider_calls,
        "boundaries not hit": len(tally.missed),
    }
    drift = Bar("ledger drift", float(found.drift_usd), 0, unit="USD")
    return [*(Bar(name, float(value), 0) for name, value in nothing.items()), drift]


def _show(tally: Tally, found: Audit, printer: Console) -> None:
    rows = [
        ("completed", tally.count(Fate.COMPLETED)),
        ("failed explicitly", tally.count(Fate.FAILED)),
        ("lost", tally.count(Fate.LOST)),
        ("tries of the clients", sum(end.tries for end in tally.ends)),
        ("provider calls", found.provider_calls),
        ("attempts, settled", found.settled_attempts),
        ("attempts, closed as unknown", found.unknown_attempts),
        ("provider calls beyond one a settled attempt", found.calls_beyond_settled),
    ]
    printer.print(report.table("What happened", ("", ""), [(name, str(value)) for name, value in rows]))
    for (fate, detail), count in _reasons(tally):
        printer.print(f"{count} {fate}: {detail}", markup=False, soft_wrap=True)
    for name in tally.missed:
        printer.print(f"Not hit: {name}", markup=False)


def _reasons(tally: Tally) -> list[tuple[tuple[str, str], int]]:
    """Why what was not completed was not, the most frequent first."""
    found = Counter((end.fate.value, end.detail) for end in tally.ends if end.fate is not Fate.COMPLETED)
    return found.most_common(REASONS_SHOWN)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description="What survives SIGKILL.")
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_INVOCATIONS} invocations instead of {INVOCATIONS}"
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="only scenarios whose name contains it")
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().randrange(2**32), help="of all that is random"
    )
    parser.add_argument("--keep", action="store_true", help="keep the stack's data and logs")
    options = parser.parse_args()
    size = QUICK_INVOCATIONS if options.quick else INVOCATIONS
    lifetime.run(lambda: main(size, options.only, options.seed, keep=options.keep, printer=report.console()))
