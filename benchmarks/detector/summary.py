"""What judged rows come to: of a whole file, and of each category and source. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.detector.judging import Scored
from benchmarks.detector.metrics import (
    Bools,
    Floats,
    auc,
    calibration_error,
    cutoff,
    even_weights,
    recall_above,
    share,
)
from benchmarks.detector.rows import Row
from benchmarks.figures import percentiles

HARD = "benign_hard"


@dataclass(frozen=True, slots=True)
class Summary:
    """Shares are 0 to 1. NaN where undefined: recall without abuse, false positives without benign rows.

    Of a part of a file, the bars of recall at 1 % and 2 % false positives are those of the whole file's benign rows,
    and where the part has rows of one label only, its AUC is against the file's rows of the other.
    """

    n: int
    abuse: int
    accuracy: float
    balanced_accuracy: float
    """Mean of recall and 1 - false_positive_rate; of a part with one label, what there is of the two."""
    recall: float
    false_positive_rate: float
    recall_at_1pct_fpr: float
    recall_at_2pct_fpr: float
    auc: float
    ece: float
    """Calibration error, over the rows as they are."""
    ece_even: float
    """The same with abuse and benign weighted to be equally frequent, as the model's probability is meant."""
    category_accuracy: float
    """Of abusive rows that were flagged and name a category: how many got it."""
    deep_share: float
    """Of rows that the deep tier looked at."""
    p50_ms: float
    p95_ms: float
    cpu_p50_ms: float
    cpu_p95_ms: float


@dataclass(frozen=True, slots=True)
class _Columns:
    is_abuse: Bools
    probabilities: Floats
    flagged: Bools


def summary(rows: Sequence[Row], scored: Sequence[Scored]) -> Summary:
    return _summary(rows, scored, _columns(rows, scored))


def parts(rows: Sequence[Row], scored: Sequence[Scored], key: Callable[[Row], str]) -> dict[str, Summary]:
    """A summary for each category, or source, in the order of their names."""
    whole = _columns(rows, scored)
    groups: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault(key(row), []).append(index)
    return {
        name: _summary([rows[i] for i in groups[name]], [scored[i] for i in groups[name]], whole)
        for name in sorted(groups)
    }


def hard_false_positives(rows: Sequence[Row], scored: Sequence[Scored]) -> float:
    """Share of the hard benign rows that was flagged."""
    return share(np.array([s.flagged for r, s in zip(rows, scored, strict=True) if r.category == HARD], dtype=np.bool_))


def _columns(rows: Sequence[Row], scored: Sequence[Scored]) -> _Columns:
    return _Columns(
        np.array([row.is_abuse for row in rows], dtype=np.bool_),
        np.array([each.probability for each in scored], dtype=np.float64),
        np.array([each.flagged for each in scored], dtype=np.bool_),
    )


def _summary(rows: Sequence[Row], scored: Sequence[Scored], whole: _Columns) -> Summary:
    own = _columns(rows, scored)
    abuse, benign = own.probabilities[own.is_abuse], own.probabilities[~own.is_abuse]
    all_abuse, all_benign = whole.probabilities[whole.is_abuse], whole.probabilities[~whole.is_abuse]
    recall, false_positives = share(own.flagged[own.is_abuse]), share(own.flagged[~own.is_abuse])
    sides = [each for each in (recall, 1 - false_positives) if not math.isnan(each)]
    times = percentiles([each.seconds for each in scored])
    cpu = percentiles([each.cpu_seconds for each in scored])
    named = [
        each.category == row.category for row, each in zip(rows, scored, strict=True) if row.is_abuse and each.flagged
    ]
    return Summary(
        n=len(rows),
        abuse=int(own.is_abuse.sum()),
        accuracy=share(own.flagged == own.is_abuse),
        balanced_accuracy=sum(sides) / len(sides) if sides else math.nan,
        recall=recall,
        false_positive_rate=false_positives,
        recall_at_1pct_fpr=recall_above(abuse, cutoff(all_benign, 0.01)),
        recall_at_2pct_fpr=recall_above(abuse, cutoff(all_benign, 0.02)),
        auc=auc(abuse if abuse.size else all_abuse, benign if benign.size else all_benign),
        ece=calibration_error(own.probabilities, own.is_abuse),
        ece_even=calibration_error(own.probabilities, own.is_abuse, even_weights(own.is_abuse)),
        category_accuracy=share(np.array(named, dtype=np.bool_)),
        deep_share=share(np.array([each.is_deep for each in scored], dtype=np.bool_)),
        p50_ms=times.p50,
        p95_ms=times.p95,
        cpu_p50_ms=cpu.p50,
        cpu_p95_ms=cpu.p95,
    )
