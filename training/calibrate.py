"""Curves and thresholds, from predictions for sources that the layers had not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from training import linear
from training.data import Row
from training.measure import source_weights

Array = npt.NDArray[np.float64]


def balanced(rows: Sequence[Row]) -> Array:
    """Every source alike, and both labels alike in all."""
    weights = source_weights(rows)
    labels = np.array([row.is_abuse for row in rows])
    return np.where(labels, weights / weights[labels].sum(), weights / weights[~labels].sum())


def curve(layers: Mapping[str, Array], rows: Sequence[Row]) -> dict[str, Any]:
    """A logistic curve over the layers (Platt's, with more than one)."""
    names = sorted(layers)
    columns = np.stack([layers[name] for name in names], axis=1)
    scale = columns.std(axis=0) + 1e-9
    labels = np.array([[float(row.is_abuse)] for row in rows])
    theta, bias = linear.fit(sp.csr_matrix(columns / scale), labels, balanced(rows), ridge=1e-4, steps=200)
    return {
        "bias": round(float(bias[0]), 5),
        "weights": {name: round(float(theta[k, 0] / scale[k]), 5) for k, name in enumerate(names)},
    }


def apply(fitted: Mapping[str, Any], layers: Mapping[str, Array]) -> Array:
    total = fitted["bias"] + sum(weight * layers[name] for name, weight in fitted["weights"].items())
    return 1 / (1 + np.exp(-np.asarray(total, dtype=np.float64)))


def sure_bounds(probabilities: Array, rows: Sequence[Row], *, missed: float, condemned: float) -> tuple[float, float]:
    """Below the first the fast tier's word is final, and above the second: of all abuse at most `missed` lies below the
    first, of all that is benign at most `condemned` above the second (shares, every source alike)."""
    labels = np.array([row.is_abuse for row in rows])
    weights = source_weights(rows)
    low = _quantile(probabilities[labels], weights[labels], missed)
    high = _quantile(probabilities[~labels], weights[~labels], 1 - condemned)
    return min(low, 0.45), max(high, 0.55)


def _quantile(values: Array, weights: Array, share: float) -> float:
    order = np.argsort(values)
    running = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][min(int(np.searchsorted(running, share)), len(order) - 1)])
