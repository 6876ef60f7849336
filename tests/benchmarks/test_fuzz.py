from __future__ import annotations

import pytest

from benchmarks.fuzz import Growth, growth_rows


def test_growth_is_the_steepest_step_over_that_of_the_size() -> None:
    assert Growth("c", "k", (0.001, 0.008, 0.128)).worst == pytest.approx(1.0)
    assert Growth("c", "k", (0.001, 0.064, 0.128)).worst == pytest.approx(8.0)
    # What is too quick to time is no measure of what follows.
    assert Growth("c", "k", (0.000001, 0.004, 0.064)).worst == pytest.approx(1.0)


def test_the_slowest_and_the_steepest_of_each_check_are_shown_once() -> None:
    slow, steep, plain = (
        Growth("a", "slow", (0.1, 0.8, 12.8)),
        Growth("a", "steep", (0.001, 0.1, 0.2)),
        Growth("a", "plain", (0.001, 0.008, 0.1)),
    )
    other = Growth("b", "plain", (0.001, 0.008, 0.1))
    rows = growth_rows([plain, slow, steep, other], shown=1)
    assert [row[0] for row in rows] == ["a, slow", "a, steep", "b, plain"]
