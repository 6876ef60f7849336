"""Percentiles, medians over rounds, and growth."""

from __future__ import annotations

import math

import pytest

from benchmarks.figures import Figures, Percentiles, growth, median, percentiles


def test_percentiles_are_durations_that_were_measured() -> None:
    assert percentiles([n / 1000 for n in range(100, 0, -1)]) == Percentiles(50.0, 95.0, 99.0)
    assert percentiles([0.25]) == Percentiles(250.0, 250.0, 250.0)


def test_percentiles_of_nothing_are_unknown_not_zero() -> None:
    assert math.isnan(percentiles([]).p50)


def test_median_of_rounds_takes_each_figure_by_itself_and_sums_counts() -> None:
    rounds = [_figures(p50=p50, per_second=rate) for p50, rate in ((1.0, 30.0), (9.0, 10.0), (2.0, 20.0))]
    middle = median(rounds)
    assert middle.total_ms.p50 == 2.0
    assert middle.per_second == 20.0
    assert middle.requests == 30
    assert middle.cpu_ms == {"python": 2.0}


def test_growth_is_a_share_of_the_first_reading() -> None:
    assert growth([200.0, 250.0, 210.0]) == pytest.approx(0.05)


def _figures(*, p50: float, per_second: float) -> Figures:
    spread = Percentiles(p50, 2 * p50, 3 * p50)
    return Figures(
        requests=10, errors=0, per_second=per_second, total_ms=spread, first_ms=spread, cpu_ms={"python": p50}
    )
