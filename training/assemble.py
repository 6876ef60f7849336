"""Curves, thresholds and figures of a whole model, all from predictions for families that its parts had not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from training import calibrate
from training.data import Row
from training.measure import report, source_weights

Array = npt.NDArray[np.float64]

FLAG = 0.5
"""The model's own bar: where abuse and benign texts, equally frequent, are equally likely."""

MISSED, CONDEMNED = 0.20, 0.01
"""So much of all abuse may be waved through by the fast tier alone, and so much of what is benign flagged by it. From
0.10 to 0.20, balanced accuracy out of source falls from 0.773 to 0.767 (recall from 0.749 to 0.711, false positives
from 0.204 to 0.177), and the share of benign texts that the deep tier is asked about from 0.58 to 0.38. Of a thousand
texts that it is asked about below this bound, it would put 40 verdicts right, net; of those right above, 110."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """Of every row; made texts have no out-of-source predictions and are not judged by."""

    rows: Sequence[Row]
    fast: Array
    deep: Array
    windows: Array
    patterns: Array


def assemble(found: Predictions) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the manifest says beside its files, and the figures of the cross-validation."""
    real = np.array([not row.is_made for row in found.rows])
    rows = [row for row in found.rows if not row.is_made]
    layers = {name: getattr(found, name)[real] for name in ("fast", "deep", "windows", "patterns")}
    curves = {
        "+".join(names): calibrate.curve({name: layers[name] for name in (*names, "windows")}, rows)
        for names in (("fast",), ("deep",), ("deep", "fast"), ("patterns",), ("deep", "patterns"))
    }
    quick = calibrate.apply(curves["fast"], layers)
    thorough = calibrate.apply(curves["deep+fast"], layers)
    low, high = calibrate.sure_bounds(quick, rows, missed=MISSED, condemned=CONDEMNED)
    is_sure = (quick <= low) | (quick >= high)
    final = np.where(is_sure, quick, thorough)
    labels = np.array([row.is_abuse for row in rows])
    weights = source_weights(rows)
    manifest = {
        "curves": curves,
        "thresholds": {"flag": FLAG, "sure_benign": round(low, 4), "sure_abuse": round(high, 4)},
        "score_histogram": _histogram(final[~labels], weights[~labels]),
    }
    figures = {
        "out_of_source": {
            "both_tiers": report(rows, final, FLAG),
            "fast_alone": _short(report(rows, quick, FLAG)),
            "deep_alone": _short(report(rows, calibrate.apply(curves["deep"], layers), FLAG)),
            "patterns_alone": _short(report(rows, calibrate.apply(curves["patterns"], layers), FLAG)),
        },
        "to_the_deep_tier": {
            "benign": round(float((weights * ~is_sure)[~labels].sum() / weights[~labels].sum()), 4),
            "abuse": round(float((weights * ~is_sure)[labels].sum() / weights[labels].sum()), 4),
        },
        "calibration_error": round(_calibration_error(final, labels, calibrate.balanced(rows)), 4),
        "rows": {"judged": len(rows), "made": int((~real).sum())},
    }
    return manifest, figures


def _short(found: dict[str, Any]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in found.items() if name != "by_source"}


def _calibration_error(probabilities: Array, labels: npt.NDArray[np.bool_], weights: Array, bins: int = 10) -> float:
    """The mean distance between what is said and what is so, over tenths of the scale, weighed by their texts."""
    place = np.minimum((probabilities * bins).astype(int), bins - 1)
    total = 0.0
    for each in range(bins):
        mine = place == each
        if weight := float(weights[mine].sum()):
            said = float((weights * probabilities)[mine].sum()) / weight
            true = float((weights * labels)[mine].sum()) / weight
            total += weight * abs(said - true)
    return total / float(weights.sum())


def _histogram(probabilities: Array, weights: Array, bins: int = 20) -> list[float]:
    """Shares of benign texts by probability, in equal steps from 0 to 1: what live scores are compared with."""
    counts, _ = np.histogram(probabilities, bins=bins, range=(0, 1), weights=weights)
    return [round(float(share), 5) for share in counts / weights.sum()]
