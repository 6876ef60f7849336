"""What a model is judged by, on predictions for sources that it has not seen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from training.data import Row

Scores = npt.NDArray[np.float64]


def auc(scores: Scores, labels: npt.NDArray[np.bool_], weights: Scores) -> float:
    """The weighted chance that an abusive text scores above a benign one."""
    order = np.argsort(scores, kind="stable")
    s, y, w = scores[order], labels[order], weights[order]
    below = np.concatenate(([0.0], np.cumsum(np.where(y, 0.0, w))))
    first, last = np.searchsorted(s, s, "left"), np.searchsorted(s, s, "right")
    rank = (below[first] + below[last]) / 2
    return float((rank * w)[y].sum() / (w[y].sum() * w[~y].sum()))


def source_weights(rows: Sequence[Row], cap: int = 100) -> Scores:
    """Every source counts alike, less where it has fewer than `cap` rows."""
    sizes: dict[tuple[str, bool], int] = defaultdict(int)
    for row in rows:
        sizes[row.source, row.is_abuse] += 1
    return np.array([min(1.0, cap / sizes[row.source, row.is_abuse]) for row in rows])


def report(rows: Sequence[Row], scores: Scores, threshold: float = 0.5) -> dict[str, Any]:
    labels = np.array([row.is_abuse for row in rows])
    weights = source_weights(rows)
    flagged = scores >= threshold
    recall = float((weights * flagged)[labels].sum() / weights[labels].sum())
    false_positives = float((weights * flagged)[~labels].sum() / weights[~labels].sum())
    by_source: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        by_source[f"{row.source}{'+' if row.is_abuse else '-'}"].append(index)
    return {
        "balanced_accuracy": (recall + 1 - false_positives) / 2,
        "recall": recall,
        "false_positive_rate": false_positives,
        "auc": auc(scores, labels, weights),
        "recall_at_2pct_fpr": recall_at(scores, labels, weights, 0.02),
        "by_source": {
            name: round(float((flagged[ids] == labels[ids]).mean()), 3) for name, ids in sorted(by_source.items())
        },
    }


def recall_at(scores: Scores, labels: npt.NDArray[np.bool_], weights: Scores, rate: float) -> float:
    """Recall at the threshold that lets `rate` of the benign through."""
    order = np.argsort(-scores[~labels])
    shares = np.cumsum(weights[~labels][order]) / weights[~labels].sum()
    within = np.flatnonzero(shares <= rate)
    bar = scores[~labels][order][within[-1] + 1 if len(within) and within[-1] + 1 < len(order) else 0]
    return float((weights * (scores > bar))[labels].sum() / weights[labels].sum())


def best_threshold(rows: Sequence[Row], scores: Scores) -> float:
    """Where balanced accuracy over sources is best."""
    grid = np.quantile(scores, np.linspace(0.02, 0.98, 193))
    return float(max(grid, key=lambda bar: report(rows, scores, float(bar))["balanced_accuracy"]))
