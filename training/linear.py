"""Logistic regression on sparse features by L-BFGS: small enough to read, and the same on every machine."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

Array = npt.NDArray[np.float64]


def fit(
    features: Any, targets: Array, weights: Array, *, ridge: float, start: Array | None = None, steps: int = 60
) -> tuple[Array, Array]:
    """Weights (features, outputs) and biases of independent logistic outputs. `targets`: (rows, outputs), 0 to 1."""
    columns, outputs = features.shape[1], targets.shape[1]
    transposed = features.T.tocsr()
    total = weights.sum()

    def loss(flat: Array) -> tuple[float, Array]:
        theta = flat[: columns * outputs].reshape(columns, outputs)
        logits = features @ theta.astype(features.dtype) + flat[columns * outputs :]
        value = (weights[:, None] * (np.logaddexp(0, logits) - targets * logits)).sum() / total
        error = weights[:, None] * (1 / (1 + np.exp(-np.clip(logits, -40, 40))) - targets) / total
        gradient = transposed @ error.astype(features.dtype) + ridge * theta
        return value + ridge * float((theta**2).sum()) / 2, np.concatenate([gradient.ravel(), error.sum(axis=0)])

    first = np.zeros(columns * outputs + outputs) if start is None else start
    found = minimize(loss, first, jac=True, method="L-BFGS-B", options={"maxiter": steps, "maxcor": 8}).x
    return found[: columns * outputs].reshape(columns, outputs), found[columns * outputs :]
