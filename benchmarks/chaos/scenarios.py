"""The ways to kill: at each boundary between two steps of an invocation, and at random."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from benchmarks.chaos.barrier import barrier
from benchmarks.chaos.killer import Killer
from benchmarks.chaos.provider import ChaosProvider, Moment

TRAP_PATIENCE_S = 5.0

LONGEST_PAUSE_S = 0.4
"""Of the provider: so that calls are at different moments when the kill comes."""

SPRINGS_AT_CALL = 2
"""By then others are under way, or have just been answered."""

RANDOM_WINDOW_S = (0.05, 1.5)
"""After the clients have begun."""


@dataclass(frozen=True, slots=True)
class Arena:
    """What a scenario works with."""

    dsn: str
    provider: ChaosProvider
    killer: Killer
    random: random.Random


Begin = Callable[[], None]
"""Lets the clients begin."""

Strike = Callable[[Arena, Begin], Awaitable[bool]]
"""Lets the clients begin and kills; False where the moment to kill at never came."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One batch of invocations and one kill."""

    name: str
    part: str
    """Which of the stack's parts is killed."""
    strike: Strike
    stream: bool | None = None
    """True: all streamed; None: some."""
    is_staggered: bool = False
    """Clients begin one after another, not all at once."""


async def at_clear(arena: Arena, begin: Begin, *, commits: bool) -> bool:
    """Kill while `clear` is about to commit; whether it then does is `commits`."""
    async with barrier(arena.dsn) as held:
        begin()
        struck = await held.hold_accepted() and await held.has_waiters()
        await arena.killer.kill_and_wait("app")
        if not commits:
            await held.end_waiters()
    return struck


async def at_write(arena: Arena, begin: Begin, *, table: str, commits: bool) -> bool:
    """Kill while a statement that writes to `table` is about to commit; whether it then does is `commits`."""
    async with barrier(arena.dsn) as held:
        await held.hold_table(table)
        begin()
        struck = await held.has_waiters()
        await arena.killer.kill_and_wait("app")
        if not commits:
            await held.end_waiters()
    return struck


async def at_provider(arena: Arena, begin: Begin, *, moment: Moment) -> bool:
    """The provider kills its caller at this moment of a call."""
    arena.provider.arm(moment, lambda: (arena.killer.kill("app"), None)[1], at_call=SPRINGS_AT_CALL)
    begin()
    try:
        await asyncio.wait_for(arena.provider.sprung.wait(), TRAP_PATIENCE_S)
    except TimeoutError:
        return False
    finally:
        arena.provider.disarm()
    return True


async def at_random(arena: Arena, begin: Begin, *, part: str) -> bool:
    begin()
    await asyncio.sleep(arena.random.uniform(*RANDOM_WINDOW_S))
    await arena.killer.kill_and_wait(part)
    return True


def _random(part: str) -> Scenario:
    return Scenario(f"{part}: at random", part, partial(at_random, part=part), is_staggered=True)


def _app(name: str, strike: Strike, *, stream: bool | None = None) -> Scenario:
    return Scenario(f"app: {name}", "app", strike, stream)


def all_scenarios() -> list[Scenario]:
    """Deaths of the app are spread between others: its supervisor forgives so many in a row."""
    attempt, record = partial(at_write, table="attempts"), partial(at_write, table="trace_spans")
    return [
        _app("clear sent, never committed", partial(at_clear, commits=False)),
        _app("clear committed, nobody heard", partial(at_clear, commits=True)),
        _random("postgres"),
        _app("attempt's start never committed", partial(attempt, commits=False)),
        _random("temporal"),
        _app("attempt started, provider not called", partial(attempt, commits=True)),
        _app("provider called, before its answer", partial(at_provider, moment=Moment.ARRIVAL)),
        _random("app"),
        _app("amid the provider's stream", partial(at_provider, moment=Moment.MIDSTREAM), stream=True),
        _random("postgres"),
        _app("provider has answered, not recorded", partial(at_provider, moment=Moment.ANSWERED)),
        _app("record sent, never committed", partial(record, commits=False)),
        _random("temporal"),
        _app("record committed, nobody heard", partial(record, commits=True)),
        _random("app"),
        _random("app"),
    ]
