"""Hostile texts of every kind: no check fails on one, and every span lies within it. `make fuzz` does it at length."""

from __future__ import annotations

import pytest

from benchmarks.fuzz import breakages
from benchmarks.fuzz_texts import KINDS, fuzzed
from customhouse.contracts.governance import Direction, Finding
from customhouse.governance.checks.base import Passage
from customhouse.governance.checks.pii import PiiCheck
from customhouse.governance.checks.registry import builtin_checks
from customhouse.governance.policy import DEFAULT_POLICY

CHECKS = list(builtin_checks(DEFAULT_POLICY))


@pytest.mark.parametrize("start", range(0, 200, 50))
def test_no_text_breaks_a_check(start: int) -> None:
    assert [each for seed in range(start, start + 50) for each in breakages(CHECKS, seed, 40 + seed * 5)] == []


def test_the_texts_are_of_every_kind_and_the_same_again() -> None:
    kinds = {fuzzed(seed, 20)[0] for seed in range(2_000)}
    assert kinds == {*KINDS, "mixture"}
    assert fuzzed(7, 500) == fuzzed(7, 500)


def test_a_check_that_breaks_is_told() -> None:
    class Broken(PiiCheck):
        def inspect(self, passage: Passage, direction: Direction) -> list[Finding]:
            raise RuntimeError(passage.path, direction)

    broken = breakages([Broken()], 3, 50)
    assert [each.side for each in broken] == [Direction.INPUT, Direction.OUTPUT]
    assert all("RuntimeError" in each.what for each in broken)
