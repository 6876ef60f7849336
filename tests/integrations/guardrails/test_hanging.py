"""A validator that hangs inside the regular expression engine: no thread could be saved from that."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from customhouse.contracts.governance import CheckFailure, Direction, Finding
from customhouse.contracts.timing import VALIDATOR_SET_ASIDE
from customhouse.integrations.guardrails.jury import Jury, Piece
from customhouse.integrations.guardrails.pool import Pool, Trouble
from customhouse.integrations.guardrails.set_aside import HANGS, SetAside
from tests.integrations.guardrails.conftest import PATH, SETTINGS, loaders

HANG = "hang" + "a" * 60 + "! swordfish"

NAMES = [rule.name for rule in SETTINGS.rules]

NO_WORD, REMEMBERS, BACKTRACKS = (NAMES.index(name) for name in ("no_word", "remembers", "backtracks"))


DEADLINE_MS = 1_500.0
"""Long enough for all that does not hang, and each test of one that does waits for it."""


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def jury(pool: Pool, clock: Clock) -> Jury:
    with ThreadPoolExecutor(2) as threads:  # so that no test waits for a first copy
        list(threads.map(lambda _: pool.judge(["fine"] * 50, [(REMEMBERS, list(range(50)))], 60), range(2)))
    return Jury(SETTINGS.model_copy(update={"deadline_ms": DEADLINE_MS}), pool, clock)


def judged(jury: Jury, text: str, *rules: int) -> list[Finding]:
    return jury.judge(PATH, Direction.OUTPUT, [Piece(text)], [(rule, [0]) for rule in rules])


def test_it_is_killed_at_the_deadline_and_what_was_found_before_stands(jury: Jury) -> None:
    findings = judged(jury, HANG, NO_WORD, BACKTRACKS, REMEMBERS)
    assert [finding.kind for finding in findings] == ["no_word", CheckFailure.TIMED_OUT, CheckFailure.TIMED_OUT]
    assert findings[1].explanation == (
        "The validator own/backtracks did not finish within 1500 ms, so it has not looked."
    )
    assert "own/remembers was not reached" in findings[2].explanation
    assert judged(jury, "fine", NO_WORD, BACKTRACKS, REMEMBERS) == []


def test_nothing_of_it_is_left_running(jury: Jury) -> None:
    judged(jury, HANG, BACKTRACKS)
    # It would run for ages: that none runs any more ends this test.
    while any(each.status() == psutil.STATUS_RUNNING for loader in loaders() for each in loader.children()):
        time.sleep(0.01)


def test_one_that_hangs_again_and_again_is_set_aside_and_the_others_go_on(jury: Jury, clock: Clock) -> None:
    for _ in range(HANGS):
        judged(jury, HANG, BACKTRACKS)
    findings = judged(jury, HANG, BACKTRACKS, NO_WORD)
    assert [finding.kind for finding in findings] == ["no_word", CheckFailure.TIMED_OUT]
    assert "has hung 3 times in a row and is set aside" in findings[1].explanation

    clock.now += VALIDATOR_SET_ASIDE.total_seconds()
    assert judged(jury, "fine", BACKTRACKS) == []
    assert judged(jury, "fine", BACKTRACKS) == []


def test_a_try_that_hangs_sets_it_aside_again() -> None:
    clock = Clock()
    aside = SetAside(clock)
    for _ in range(HANGS):
        assert not aside.has(7)
        aside.hung(7)
    assert aside.has(7)
    clock.now += VALIDATOR_SET_ASIDE.total_seconds()
    assert not aside.has(7)  # one text tries
    assert aside.has(7)  # the others do not wait for it
    aside.hung(7)
    assert aside.has(7)
    assert not aside.has(8)


def test_no_free_process_is_no_verdict(pool: Pool) -> None:
    """Both processes hang: a third text is not kept waiting, and nothing piles up behind them."""
    with ThreadPoolExecutor(6) as threads:
        judgements = list(threads.map(lambda _: pool.judge([HANG], [(BACKTRACKS, [0])], 0.5), range(6)))
    troubles = [judgement.trouble for judgement in judgements]
    assert troubles.count(Trouble.HUNG) >= 2
    assert set(troubles) <= {Trouble.HUNG, Trouble.BUSY}
    assert pool.judge(["fine"], [(BACKTRACKS, [0])], 60).trouble is None


def test_copies_that_are_killed_are_replaced(pool: Pool) -> None:
    pool.judge(["fine"], [(NO_WORD, [0])], 60)
    for copy in loader_of(pool).children():
        copy.kill()
    troubles = [pool.judge(["fine"], [(NO_WORD, [0])], 60).trouble for _ in range(4)]
    assert set(troubles[:2]) <= {None, Trouble.DIED}
    assert troubles[2:] == [None, None]


def test_what_they_are_copied_from_is_loaded_again_and_calls_do_not_wait_for_it(pool: Pool) -> None:
    loader = loader_of(pool)
    copies = loader.children()
    loader.kill()
    psutil.wait_procs(copies)
    troubles: list[Trouble | None] = []
    while troubles[-1:] != [None] or Trouble.DOWN not in troubles:
        troubles.append(pool.judge(["fine"], [(NO_WORD, [0])], 60).trouble)
        time.sleep(0.01)
    assert set(troubles) <= {Trouble.DIED, Trouble.DOWN, None}
    assert loader_of(pool) != loader


def loader_of(pool: Pool) -> psutil.Process:
    return psutil.Process(pool._process._process.pid)
