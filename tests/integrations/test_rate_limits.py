"""Windows in memory and in Valkey: the same promises, alone and together."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from customhouse.contracts.errors import ConfigurationError, NotReady
from customhouse.contracts.rate_limits import LimitMetric, LimitRule, LimitScope
from customhouse.governance.limits.rules import Charge, Outcome
from customhouse.integrations import rate_limits
from customhouse.integrations.rate_limits import GuardedWindows, MemoryWindows, ValkeyWindows, Windows, window_key
from tests.stack import running_valkey


class Clock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def charge(
    limit: int,
    units: int = 1,
    *,
    organization: UUID | None = None,
    subject: str = "u",
    window_s: int = 60,
    metric: LimitMetric = LimitMetric.TOKENS,
) -> Charge:
    rule = LimitRule(scope=LimitScope.USER, metric=metric, amount=Decimal(limit), window_s=window_s)
    return Charge(organization or uuid4(), rule, limit, subject, units, units)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, a Valkey that is there answers in time."""
    monkeypatch.setattr(rate_limits, "RATE_LIMIT_TIMEOUT", timedelta(seconds=30))


@pytest.fixture(params=["memory", "valkey"])
async def windows(request: pytest.FixtureRequest, valkey_url: str, patient: None) -> AsyncIterator[Windows]:  # noqa: ARG001
    if request.param == "memory":
        yield MemoryWindows()
        return
    shared = ValkeyWindows(valkey_url)
    yield shared
    await shared.close()


async def test_as_much_passes_as_has_room(windows: Windows) -> None:
    organization = uuid4()
    outcomes = [await windows.take([charge(10, 3, organization=organization)]) for _ in range(4)]
    assert [outcome.admitted for outcome in outcomes] == [True, True, True, False]
    assert [outcome.standings[0].used for outcome in outcomes] == [3, 6, 9, 9]
    refused = outcomes[-1].standings[0]
    assert refused.retry_ms is not None
    assert 0 < refused.retry_ms <= 61_000
    assert outcomes[0].standings[0].reset_ms > 59_000
    assert (await windows.take([charge(10, 1, organization=organization)])).admitted


async def test_all_limits_have_room_or_none_is_counted(windows: Windows) -> None:
    organization = uuid4()
    wide, narrow = charge(100, organization=organization), charge(1, organization=organization, subject="v")
    assert (await windows.take([wide, narrow])).admitted
    refused = await windows.take([wide, narrow])
    assert not refused.admitted
    assert [standing.retry_ms == 0 for standing in refused.standings] == [True, False]
    assert (await windows.take([wide])).standings[0].used == 2


async def test_what_can_never_pass_says_so(windows: Windows) -> None:
    outcome = await windows.take([charge(10, 11)])
    assert not outcome.admitted
    assert outcome.standings[0].retry_ms is None


async def test_the_truth_replaces_the_estimate(windows: Windows) -> None:
    tokens = charge(1000, 600)
    outcome = await windows.take([tokens])
    await windows.settle([(tokens, -550)], outcome.at_ms)
    assert (await windows.take([tokens])).standings[0].used == 650
    await windows.settle([(tokens, 5_000)], outcome.at_ms)
    refused = await windows.take([tokens])
    assert not refused.admitted
    assert refused.standings[0].used == 5_650, "what was used beyond the limit counts as well"


async def test_more_is_never_given_back_than_was_taken(windows: Windows) -> None:
    tokens = charge(1000, 10)
    outcome = await windows.take([tokens])
    await windows.settle([(tokens, -500)], outcome.at_ms)
    assert (await windows.take([tokens])).standings[0].used == 10


async def test_dollars_are_exact_up_to_millions(windows: Windows) -> None:
    limit = 1_000_000 * 10**9
    dollars = charge(limit, 1, metric=LimitMetric.USD)
    outcome = await windows.take([dollars])
    await windows.settle([(dollars, limit - 2)], outcome.at_ms)
    assert (await windows.take([dollars])).standings[0].used == limit
    assert not (await windows.take([dollars])).admitted


async def test_a_window_slides(windows: Windows) -> None:
    """Real time, for Valkey counts by its own clock: once told time has passed there is room, whatever it was."""
    second = charge(3, window_s=1)
    for _ in range(3):
        assert (await windows.take([second])).admitted
    refused = await windows.take([second])
    assert not refused.admitted
    assert refused.standings[0].retry_ms is not None
    await asyncio.sleep(refused.standings[0].retry_ms / 1000 + 0.005)
    assert (await windows.take([second])).admitted


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(0, 4_000), st.integers(1, 6), st.sampled_from("uvw")), max_size=80),
    limit=st.integers(1, 12),
)
def test_no_window_in_memory_ever_lets_more_pass(steps: list[tuple[int, int, str]], limit: int) -> None:
    clock, organization = Clock(), uuid4()
    windows = MemoryWindows(clock)

    async def run() -> dict[str, list[tuple[float, int]]]:
        through: dict[str, list[tuple[float, int]]] = {}
        for pause, units, subject in steps:
            clock.now += pause / 1000
            asked = charge(limit, units, organization=organization, subject=subject, window_s=10)
            if (await windows.take([asked])).admitted:
                through.setdefault(subject, []).append((clock.now, units))
        return through

    for passed in asyncio.run(run()).values():
        for begins, _ in passed:
            # Floating-point seconds: a window that is shorter by a microsecond.
            assert sum(units for moment, units in passed if begins <= moment < begins + 9.999999) <= limit


async def test_memory_keeps_no_more_windows_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "MOST_WINDOWS", 50)
    clock, organization = Clock(), uuid4()
    windows = MemoryWindows(clock)
    for number in range(500):
        await windows.take([charge(1, organization=organization, subject=str(number))])
    (kept,) = windows._windows.values()
    assert len(kept) <= 51
    clock.now += 3600
    for number in range(60):
        await windows.take([charge(1, organization=organization, subject=f"later {number}")])
    assert all(key.split(":")[-1].startswith("later") for key in kept)


HAMMER = """
import asyncio, sys
from datetime import timedelta
from uuid import UUID
from customhouse.integrations import rate_limits
from tests.integrations.test_rate_limits import charge

async def main(url, organization, limit):
    rate_limits.RATE_LIMIT_TIMEOUT = timedelta(seconds=30)  # however busy the machine is
    windows, passed = rate_limits.ValkeyWindows(url), []
    asked = charge(limit, 1, organization=UUID(organization), window_s=1)

    async def caller():
        first = now = (await windows.take([asked])).at_ms
        while now - first < 2_500:
            outcome = await windows.take([asked])
            now = outcome.at_ms
            if outcome.admitted:
                passed.append(now)

    await asyncio.gather(*(caller() for _ in range(4)))
    print(*passed)

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


async def test_many_processes_keep_one_limit_together(valkey_url: str) -> None:
    """Four processes ask as fast as they can, by Valkey's clock for 2.5 seconds; no second of it holds more."""
    organization, limit = uuid4(), 40
    command = [sys.executable, "-c", HAMMER, valkey_url, str(organization), str(limit)]
    root = Path(__file__).parents[2]
    processes = [
        await asyncio.create_subprocess_exec(*command, cwd=root, stdout=asyncio.subprocess.PIPE) for _ in range(4)
    ]
    answers = [(await process.communicate())[0].decode().split() for process in processes]
    assert all(process.returncode == 0 for process in processes)
    passed = sorted(int(moment) for answer in answers for moment in answer)
    assert len(passed) > limit, "the window slides"
    for begins in passed:
        assert sum(begins <= moment < begins + 1000 for moment in passed) <= limit


class Away(Windows):
    """A Valkey that hangs, refuses, or is there."""

    def __init__(self) -> None:
        self.inner = MemoryWindows()
        self.hangs = self.refuses = False
        self.asked = 0

    async def take(self, charges: Sequence[Charge]) -> Outcome:
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.refuses:
            raise ConnectionRefusedError
        return await self.inner.take(charges)

    async def settle(self, differences: Sequence[tuple[Charge, int]], taken_at_ms: int) -> None:
        if self.refuses:
            raise ConnectionRefusedError
        await self.inner.settle(differences, taken_at_ms)

    async def close(self) -> None: ...


def guarded(shared: Away, clock: Clock, told: list[str], *, closed: bool = False) -> GuardedWindows:
    return GuardedWindows(shared, closed=closed, on_away=told.append, clock=clock)


@pytest.mark.parametrize("how", ["hangs", "refuses"])
async def test_while_valkey_is_away_each_process_counts_alone(how: str, caplog: pytest.LogCaptureFixture) -> None:
    shared, clock, told = Away(), Clock(), list[str]()
    windows = guarded(shared, clock, told)
    asked = charge(2)
    setattr(shared, how, True)
    assert [(await windows.take([asked])).admitted for _ in range(4)] == [True, True, False, False]
    assert shared.asked == 1, "the others do not wait for it"
    assert len(told) == 1
    assert sum("Valkey does not answer" in record.message for record in caplog.records) == 1
    setattr(shared, how, False)
    clock.now += 1.1
    assert (await windows.take([asked])).admitted
    assert shared.asked == 2
    setattr(shared, how, True)
    clock.now += 1.1
    await windows.take([asked])
    assert len(told) == 2, "it went away once more"


async def test_while_valkey_is_away_calls_with_limits_may_be_refused() -> None:
    shared, told = Away(), list[str]()
    windows = guarded(shared, Clock(), told, closed=True)
    shared.refuses = True
    with pytest.raises(NotReady, match="Valkey") as refused:
        await windows.take([charge(2)])
    assert refused.value.retry_after_s == 1


async def test_a_settlement_that_valkey_does_not_take_is_no_error() -> None:
    shared, told = Away(), list[str]()
    windows = guarded(shared, Clock(), told)
    tokens = charge(100, 60)
    outcome = await windows.take([tokens])
    shared.refuses = True
    await windows.settle([(tokens, -50)], outcome.at_ms)
    assert len(told) == 1


async def test_a_real_valkey_that_dies_and_comes_back(patient: None) -> None:  # noqa: ARG001
    told = list[str]()
    clock = Clock()
    asked = charge(1000)
    async with running_valkey() as server:
        windows = GuardedWindows(ValkeyWindows(server.url), closed=False, on_away=told.append, clock=clock)
        assert (await windows.take([asked])).admitted
        await server.stop()
        assert (await windows.take([asked])).admitted
        assert len(told) == 1
        await server.start()
        clock.now += 1.1
        outcome = await windows.take([asked])
        assert outcome.standings[0].used == 1, "it has forgotten, and counts anew"
        assert len(told) == 1
        await windows.close()


@pytest.mark.parametrize("url", ["valkey+nonsense://x", "valkey://[", "valkey://127.0.0.1:port"])
def test_a_url_that_cannot_be_used_is_not_shown(url: str) -> None:
    with pytest.raises(ConfigurationError, match="CUSTOMHOUSE_VALKEY_URL") as refused:
        ValkeyWindows(url)
    assert url not in refused.value.message


def test_all_windows_of_an_organization_lie_on_one_node_of_a_cluster() -> None:
    asked = charge(1, subject="a:b}c")
    key = window_key(asked)
    assert key[key.index("{") + 1 : key.index("}")] == str(asked.organization_id)
    assert key.endswith(":a:b}c")
