"""Figures of a binary judge, against values known otherwise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.detector.metrics import auc, calibration_error, cutoff, even_weights, recall_above, share

SCORES = st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]), min_size=1, max_size=20)


def test_auc_is_the_share_of_pairs_in_the_right_order() -> None:
    # A textbook example: labels 0, 0, 1, 1 and scores 0.1, 0.4, 0.35, 0.8 give 0.75.
    assert auc(np.array([0.35, 0.8]), np.array([0.1, 0.4])) == 0.75
    assert auc(np.array([0.5]), np.array([0.5])) == 0.5
    assert math.isnan(auc(np.array([]), np.array([0.5])))


@given(SCORES, SCORES)
def test_auc_agrees_with_counting_pairs(abuse: list[float], benign: list[float]) -> None:
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in abuse for b in benign]
    assert auc(np.array(abuse), np.array(benign)) == pytest.approx(sum(pairs) / len(pairs))


@given(SCORES, st.sampled_from([0.01, 0.02, 0.1, 0.5, 1.0]))
def test_no_more_than_the_rate_lies_above_the_cutoff(benign: list[float], rate: float) -> None:
    bar = cutoff(np.array(benign), rate)
    above = sum(score > bar for score in benign)
    assert above <= rate * len(benign) + 1e-9
    assert bar == -math.inf or sum(score >= bar for score in benign) > rate * len(benign) - 1e-9, "a lower one would do"


def test_recall_at_a_rate_of_false_positives() -> None:
    benign = np.arange(100) / 100  # 0.99 is the only one above 0.98
    bar = cutoff(benign, 0.01)
    assert bar == pytest.approx(0.98)
    assert recall_above(np.array([0.5, 0.98, 0.985, 0.999]), bar) == 0.5
    assert cutoff(np.arange(50) / 50, 0.02) == pytest.approx(0.96), "one in fifty is two per cent"
    assert math.isnan(recall_above(np.array([0.5]), cutoff(np.array([]), 0.01)))


def test_calibration_error_of_a_judge_that_is_right_as_often_as_it_says_is_zero() -> None:
    probabilities = np.repeat(np.arange(10) / 10 + 0.05, 100)
    truth = np.concatenate([np.arange(100) < round(100 * p) for p in np.arange(10) / 10 + 0.05])
    assert calibration_error(probabilities, truth) == pytest.approx(0.0)
    assert calibration_error(np.full(100, 0.9), np.arange(100) < 60) == pytest.approx(0.3)
    assert calibration_error(np.full(100, 0.9), np.arange(100) >= 40) == pytest.approx(0.3), "in whatever order"


def test_calibration_error_of_certainty_about_the_wrong_thing_is_one() -> None:
    assert calibration_error(np.ones(50), np.zeros(50, dtype=np.bool_)) == 1.0
    assert math.isnan(calibration_error(np.array([]), np.array([], dtype=np.bool_)))


def test_even_weights_make_both_labels_equally_frequent() -> None:
    truth = np.array([True] + [False] * 9)
    weights = even_weights(truth)
    assert weights[truth].sum() == pytest.approx(weights[~truth].sum())
    # 0.5 for everything: a tenth is abuse, so the error is 0.4; were half of it abuse, none.
    undecided = np.full(10, 0.5)
    assert calibration_error(undecided, truth) == pytest.approx(0.4)
    assert calibration_error(undecided, truth, weights) == pytest.approx(0.0)
    assert even_weights(np.array([False, False])).tolist() == [1.0, 1.0]


def test_share_of_nothing_is_unknown() -> None:
    assert math.isnan(share(np.array([], dtype=np.bool_)))
    assert share(np.array([True, False])) == 0.5
