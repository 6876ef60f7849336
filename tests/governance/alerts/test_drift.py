from __future__ import annotations

import random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customhouse.contracts.errors import ConfigurationError
from customhouse.contracts.governance import Severity
from customhouse.governance.alerts.drift import (
    ALARM,
    BINS,
    MIN_SAMPLES,
    bin_of,
    drift_alert,
    reference_of,
    stability_index,
)

ORGANIZATION = UUID(int=7)

COUNTS = st.lists(st.integers(0, 10_000), min_size=BINS, max_size=BINS).filter(any)


def scores(seed: int, number: int, alpha: float = 0.3, beta: float = 5.0) -> list[int]:
    """Counts of made-up scores: most near 0, as a good model's are on benign traffic."""
    source = random.Random(seed)
    counts = [0] * BINS
    for _ in range(number):
        counts[bin_of(source.betavariate(alpha, beta))] += 1
    return counts


REFERENCE = reference_of({"score_histogram": scores(1, 20_000)}) or []


def test_scores_lie_in_equal_bins() -> None:
    assert [bin_of(p) for p in (0.0, 0.049, 0.05, 0.5, 0.999, 1.0)] == [0, 0, 1, 10, 19, 19]


@pytest.mark.parametrize("seed", range(20))
def test_the_same_traffic_does_not_alarm_however_few_scores(seed: int) -> None:
    counts = scores(100 + seed, MIN_SAMPLES)
    assert stability_index(REFERENCE, counts) < ALARM / 2
    assert drift_alert(ORGANIZATION, counts, REFERENCE, "1") is None


def test_an_attack_in_a_tenth_of_the_traffic_alarms() -> None:
    counts = [a + b for a, b in zip(scores(2, 900), scores(3, 100, alpha=5, beta=1), strict=True)]
    alert = drift_alert(ORGANIZATION, counts, REFERENCE, "7")
    assert alert is not None
    assert (alert.severity, alert.subject, alert.details["samples"]) == (Severity.MEDIUM, "model:abuse@7", 1000)
    assert alert.details["psi"] > ALARM
    assert "higher" in alert.text
    assert alert.dedup_window_s == 86_400


def test_other_traffic_alarms_severely() -> None:
    alert = drift_alert(ORGANIZATION, scores(4, 1000, alpha=2, beta=3), REFERENCE, "1")
    assert alert is not None
    assert alert.severity is Severity.HIGH


def test_too_few_scores_say_nothing() -> None:
    counts = [0] * (BINS - 1) + [MIN_SAMPLES - 1]
    assert drift_alert(ORGANIZATION, counts, REFERENCE, "1") is None
    assert drift_alert(ORGANIZATION, [*counts[:-1], MIN_SAMPLES], REFERENCE, "1") is not None


@given(COUNTS, COUNTS)
def test_the_index_is_finite_and_never_negative(reference: list[int], counts: list[int]) -> None:
    shares = reference_of({"score_histogram": reference})
    assert shares is not None
    index = stability_index(shares, counts)
    assert 0 <= index < 100


@given(COUNTS)
def test_many_scores_of_the_same_shape_come_to_nothing(reference: list[int]) -> None:
    shares = reference_of({"score_histogram": reference})
    assert shares is not None
    assert stability_index(shares, [count * 1000 for count in reference]) < 0.01


def test_a_manifest_without_a_histogram_is_none() -> None:
    assert reference_of({"version": "1"}) is None


@pytest.mark.parametrize(
    "histogram",
    [[1.0] * 19, [0] * 20, [-1, *[1] * 19], "x", {"0": 1}, [True] * 20, [float("nan")] * 20, [float("inf")] * 20],
)
def test_what_is_no_histogram_is_refused(histogram: object) -> None:
    with pytest.raises(ConfigurationError, match="score_histogram"):
        reference_of({"score_histogram": histogram})
