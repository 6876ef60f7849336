"""Figures of a binary judge. Pure; every one is NaN where it is undefined."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

BINS = 10


def share(hits: Bools) -> float:
    """Of True, 0 to 1."""
    return float(hits.mean()) if hits.size else math.nan


def auc(abuse: Floats, benign: Floats) -> float:
    """How often an abusive text's score is above a benign one's, 0 to 1; ties count half."""
    if not abuse.size or not benign.size:
        return math.nan
    ordered = np.sort(benign)
    below = np.searchsorted(ordered, abuse, side="left")
    not_above = np.searchsorted(ordered, abuse, side="right")
    return float((below + not_above).sum() / (2 * abuse.size * benign.size))


def cutoff(benign: Floats, rate: float) -> float:
    """The lowest score above which at most `rate` (0 to 1) of the benign scores lie. NaN without any."""
    if not benign.size:
        return math.nan
    allowed = math.floor(rate * benign.size + 1e-9)  # 0.02 × 50 is one, not a hair below it
    return float(np.sort(benign)[::-1][allowed]) if allowed < benign.size else -math.inf


def recall_above(abuse: Floats, bar: float) -> float:
    """The share of abusive texts whose score is above the bar."""
    return math.nan if math.isnan(bar) else share(abuse > bar)


def calibration_error(probabilities: Floats, is_abuse: Bools, weights: Floats | None = None) -> float:
    """Expected calibration error, 0 to 1: the mean gap between probability and truth over ten bins of equal mass.

    `weights` of the rows, for another mix of abuse and benign than the data has; each bin then has equal weight.
    """
    if not probabilities.size:
        return math.nan
    mass = np.ones(probabilities.size) if weights is None else weights
    order = np.argsort(probabilities, kind="stable")
    p, w = probabilities[order], mass[order]
    # Rows of one probability share their truth, else the bins would depend on the order of the rows.
    _, tie = np.unique(p, return_inverse=True)
    y = (np.bincount(tie, weights=w * is_abuse[order]) / np.bincount(tie, weights=w))[tie]
    middle = (np.cumsum(w) - w / 2) / w.sum()
    bins = np.minimum((middle * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(bins, weights=w * (p - y), minlength=BINS)
    return float(np.abs(gaps).sum() / w.sum())


def even_weights(is_abuse: Bools) -> Floats:
    """Weights under which abuse and benign are equally frequent; all alike where there is only one of the two."""
    abusive = int(is_abuse.sum())
    benign = is_abuse.size - abusive
    if not abusive or not benign:
        return np.ones(is_abuse.size)
    return np.where(is_abuse, 0.5 / abusive, 0.5 / benign)
