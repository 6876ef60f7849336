"""Whether a budget holds: `python -m benchmarks.budgets`, or `make bench-budgets`.

200 clients ask at once against a budget for 100 calls, and the process with API and worker is killed meanwhile. Each
client asks until it has its answer or is told that the budget is spent. Then the budget is compared with the ledger.
Also: what three budgets add to a call's statements. Exit code 1 unless every bar is met.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import aiohttp
from rich.console import Console

from benchmarks import lifetime, report
from benchmarks.bars import Bar
from benchmarks.budgets.audit import Audit, audit
from benchmarks.budgets.client import Client, End, Fate
from benchmarks.budgets.statements import Added, measure
from benchmarks.chaos.killer import Killer
from benchmarks.chaos.provider import ChaosProvider, serving
from benchmarks.chaos.scenarios import LONGEST_PAUSE_S
from benchmarks.stack import API_KEY, Stack, running_stack, work_folder
from benchmarks.wire import unique_prompt
from customhouse.contracts.money import plain
from customhouse.storage.ledger import Ledger
from customhouse.storage.statements import Statements
from workers.database import database_url

CLIENTS, ROOM_FOR = 200, 100
CALL_USD = Decimal("0.000211")
"""A prompt of 101 words at 1 USD and an answer of 55 at 2 USD a million tokens, as the mock counts."""
KILLS = 4
SHARE_BEFORE_KILL = 8
"""Since the stack serves again, the provider has had one in so many of the calls that there is room for: some are
answered between two kills."""
KILL_AFTER_S = (0.0, 0.3)
"""After that."""
PATIENCE_S = 400.0
SETTLE_TIMEOUT_S = 60.0
"""For invocations whose clients have gone."""
LEFT_OPEN_AFTER = timedelta(seconds=20)
"""Housekeeping closes what a kill left open between an invocation's end and its attempt's: here, sooner."""
MOST_ADDED_MS = 1.0
POLL_S = 0.05


async def main(clients: int, room_for: int, kills: int, seed: int, *, keep: bool, printer: Console) -> int:
    printer.print(f"Seed {seed}")
    generator = random.Random(seed)
    provider = ChaosProvider(generator, LONGEST_PAUSE_S)
    async with AsyncExitStack() as opened:
        folder = await opened.enter_async_context(work_folder(keep=keep))
        provider_url = await opened.enter_async_context(serving(provider))
        stack = await opened.enter_async_context(running_stack(folder, provider_url))
        session = await opened.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True, limit=0))
        )
        killer = Killer(stack, session)
        await killer.ready("app")
        added = await measure(database_url(stack.settings))
        amount = CALL_USD * room_for
        budget_id = await _make_budget(stack, session, amount)
        client = Client(session, stack.base_url, "budget")
        asking = [
            asyncio.create_task(client.pursue(_letters(n), unique_prompt(generator), PATIENCE_S))
            for n in range(clients)
        ]
        struck = await _kill(killer, provider, asking, room_for, kills, generator)
        ends = await asyncio.gather(*asking)
        found = await _settled(stack, budget_id)
    made = bars(ends, found, amount, added, struck, kills)
    _show(ends, found, amount, added, struck, printer)
    result = {
        "seed": seed,
        "clients": clients,
        "amount_usd": amount,
        "kills": struck,
        "fates": Counter(end.fate.value for end in ends),
        "waits": sum(end.waits for end in ends),
        "audit": found,
        "statements": added,
    }
    report.finish("budgets", printer, result, made)
    return 0 if all(bar.is_met for bar in made) else 1


async def _make_budget(stack: Stack, session: aiohttp.ClientSession, amount: Decimal) -> UUID:
    """Through the API, as an operator does."""
    url = stack.base_url.removesuffix("/v1") + "/api/v1/budgets"
    body = {"name": "benchmark", "scope": "organization", "period": "month", "amount_usd": plain(amount)}
    async with session.post(url, json=body, headers={"Authorization": f"Bearer {API_KEY}"}) as response:
        response.raise_for_status()
        return UUID((await response.json())["id"])


async def _kill(
    killer: Killer,
    provider: ChaosProvider,
    asking: Sequence[asyncio.Task[End]],
    room_for: int,
    kills: int,
    generator: random.Random,
) -> int:
    """SIGKILL the app, again and again while somebody asks. How often it was done."""
    struck = 0
    while struck < kills:
        enough = provider.calls.total() + room_for // SHARE_BEFORE_KILL
        while provider.calls.total() < enough:
            if all(task.done() for task in asking):
                return struck
            await asyncio.sleep(POLL_S)
        await asyncio.sleep(generator.uniform(*KILL_AFTER_S))
        await killer.kill_and_wait("app")
        struck += 1
        await killer.ready("app")
    return struck


async def _settled(stack: Stack, budget_id: UUID) -> Audit:
    """The audit, once everything has ended or SETTLE_TIMEOUT_S has passed."""
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    url = database_url(stack.settings)
    async with Statements(url, size=1, application_name="benchmark") as statements:
        ledger = Ledger(statements)
        while True:
            found = await audit(stack.dsn, budget_id)
            if not (found.unfinished or found.open_attempts) or time.monotonic() > deadline:
                return found
            if not found.unfinished:
                await ledger.close_left_open(LEFT_OPEN_AFTER)
            await asyncio.sleep(1)


def bars(ends: Sequence[End], found: Audit, amount: Decimal, added: Added, struck: int, kills: int) -> list[Bar]:
    """All must be met."""
    fates = Counter(end.fate for end in ends)
    over = max(found.used_usd - amount, Decimal(0))
    return [
        Bar("spent beyond the budget", float(over), float(found.dearest_usd), unit="USD"),
        Bar("used, less the cost rows' sum", float(abs(found.used_usd - found.logged_usd)), 0, unit="USD"),
        Bar("reserved at the end", float(found.reserved_usd), 0, unit="USD"),
        Bar("reservations never settled", found.held, 0),
        Bar("attempts never settled", found.open_attempts, 0),
        Bar("invocations without an end", found.unfinished, 0),
        # Nobody is sent away while there is room: less is left than a call may cost at worst.
        Bar("left at the end", float(amount - found.used_usd), float(found.worst_usd), unit="USD"),
        Bar("clients without an end", fates[Fate.LOST], 0),
        Bar("clients told that it is spent", fates[Fate.SPENT], 1, "at least"),
        Bar("kills of the app", struck, kills, "at least"),
        Bar("Postgres's CPU added by three budgets", added.added_cpu_ms, MOST_ADDED_MS, unit="ms a call"),
    ]


def _show(ends: Sequence[End], found: Audit, amount: Decimal, added: Added, struck: int, printer: Console) -> None:
    fates = Counter(end.fate.value for end in ends)
    rows = [
        ("budget, USD", plain(amount)),
        ("used, USD", plain(found.used_usd)),
        ("sum of the cost rows, USD", plain(found.logged_usd)),
        ("reserved, USD", plain(found.reserved_usd)),
        ("dearest attempt, USD", plain(found.dearest_usd)),
        ("held for one attempt at most, USD", plain(found.worst_usd)),
        *((f"clients: {fate}", str(count)) for fate, count in sorted(fates.items())),
        ("calls that failed otherwise, and were made anew", str(sum(end.failures for end in ends))),
        ("429s that were waited out", str(sum(end.waits for end in ends))),
        ("attempts, answered", str(found.answered_attempts)),
        ("attempts, closed as unknown", str(found.unknown_attempts)),
        ("kills of the app", str(struck)),
        ("begin and end of a call without budgets, p50 ms", f"{added.without.p50_ms:.3f}"),
        ("the same with three budgets, p50 ms", f"{added.with_three.p50_ms:.3f}"),
        ("Postgres's CPU for it without budgets, ms", f"{added.without.cpu_ms:.3f}"),
        ("the same with three budgets, ms", f"{added.with_three.cpu_ms:.3f}"),
    ]
    printer.print(report.table("What happened", ("", ""), rows))
    details = Counter(f"{end.fate}: {end.detail}" for end in ends if end.fate is Fate.LOST)
    for detail, count in details.most_common(5):
        printer.print(f"{count} {detail}", markup=False, soft_wrap=True)


def _letters(number: int) -> str:
    """A number in letters, so that no check takes it for somebody's account or telephone."""
    return "".join(chr(ord("a") + int(digit)) for digit in str(number))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.budgets", description="Whether a budget holds.")
    parser.add_argument("--clients", type=int, default=CLIENTS, help=f"instead of {CLIENTS}")
    parser.add_argument(
        "--room", type=int, default=ROOM_FOR, help=f"calls that the budget is for, instead of {ROOM_FOR}"
    )
    parser.add_argument("--kills", type=int, default=KILLS, help=f"instead of {KILLS}")
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().randrange(2**32), help="of all that is random"
    )
    parser.add_argument("--keep", action="store_true", help="keep the stack's data and logs")
    options = parser.parse_args()
    lifetime.run(
        lambda: main(
            options.clients, options.room, options.kills, options.seed, keep=options.keep, printer=report.console()
        )
    )
