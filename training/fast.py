"""Makes the fast tier: features of every window, a linear model over them, and its predictions out of source."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from customhouse.governance.abuse.ngrams import BUCKETS, bucket_counts
from customhouse.governance.abuse.patterns import CATEGORIES, PATTERNS, AbusePatterns
from customhouse.governance.abuse.shape import NAMES, shape_of
from customhouse.governance.abuse.static_embedding import DIMENSIONS, StaticEmbedding
from training import linear
from training.data import Row, folds_of, weights_of
from training.instances import Instances

Array = npt.NDArray[np.float64]

SCALES = {"static": 3.0, "patterns": 1.0, "shape": 0.5}
"""How freely each sort of feature may be used, beside the n-grams' 1."""

RIDGE = 1e-4
STEPS = 40


def features_of(instances: Instances) -> Any:
    """(instances, features) in CSR: n-grams, static embedding, patterns, shape."""
    buckets, values, ends = [], [], [0]
    matcher = AbusePatterns()
    dense = np.zeros((len(instances.texts), len(PATTERNS) + len(NAMES)), dtype=np.float32)
    for index, text in enumerate(instances.texts):
        where, counts = bucket_counts(text)
        buckets.append(where)
        values.append(counts)
        ends.append(ends[-1] + len(where))
        dense[index, matcher.hits(text)] = SCALES["patterns"]
        dense[index, len(PATTERNS) :] = SCALES["shape"] * shape_of(text, is_decoded=bool(instances.is_decoded[index]))
    grams = sp.csr_matrix(
        (np.concatenate(values), np.concatenate(buckets).astype(np.int32), ends), shape=(len(ends) - 1, BUCKETS)
    )
    static = StaticEmbedding().of(instances.texts) * SCALES["static"]
    return sp.hstack([grams, sp.csr_matrix(static), sp.csr_matrix(dense)]).tocsr().astype(np.float32)


def fit(features: Any, instances: Instances, rows: Sequence[Row], taken: npt.NDArray[np.bool_]) -> tuple[Array, Array]:
    """Weights and bias for abuse, learnt from the taken rows: first from all windows, then from the telling ones.

    Where an abusive text has many windows, one is enough to make it abusive, and which one nobody has marked: in the
    second round it is the one that the first found worst. Of a benign text every window is benign.
    """
    owner = instances.row
    mine = taken[owner]
    weights = np.array(weights_of(rows))
    labels = np.array([row.is_abuse for row in rows])
    share = weights / np.bincount(owner, minlength=len(rows))
    targets = labels[owner][mine, None].astype(np.float64)
    theta, bias = linear.fit(features[mine], targets, share[owner][mine], ridge=RIDGE, steps=STEPS)
    logits = (features @ theta.astype(np.float32))[:, 0] + bias[0]
    worst = is_worst(logits, owner, len(rows))
    chosen = np.where(labels[owner], weights[owner] * worst, 0.5 * (share[owner] + weights[owner] * worst))
    start = np.concatenate([theta.ravel(), bias])
    return linear.fit(features[mine], targets, chosen[mine], ridge=RIDGE, steps=STEPS, start=start)


def fit_categories(features: Any, instances: Instances, rows: Sequence[Row], logits: Array) -> tuple[Array, Array]:
    """Weights and biases of the categories, learnt from the worst window of every abusive text."""
    labels = np.array([row.is_abuse for row in rows])
    chosen = labels[instances.row] & is_worst(logits, instances.row, len(rows))
    kinds = np.array([CATEGORIES.index(row.category) if row.is_abuse else -1 for row in rows])  # type: ignore[arg-type]
    kind = kinds[instances.row[chosen]]
    weights = np.array(weights_of(rows))[instances.row[chosen]]
    share = np.bincount(kind, weights=weights, minlength=len(CATEGORIES))
    return linear.fit(
        features[chosen],
        np.eye(len(CATEGORIES))[kind],
        weights / np.maximum(share[kind], 1e-9),
        ridge=3e-4,
        steps=STEPS,
    )


def out_of_source(features: Any, instances: Instances, rows: Sequence[Row], folds: int) -> Array:
    """Each row's logit by a model that has seen none of its source's family."""
    fold = np.array(folds_of(rows, folds))
    found = np.zeros(len(rows))
    for each in range(folds):
        theta, bias = fit(features, instances, rows, fold != each)
        logits = row_logits((features @ theta.astype(np.float32))[:, 0] + bias[0], instances.row, len(rows))
        found[fold == each] = logits[fold == each]
    return found


def pattern_logits(path: Path, instances: Instances, count: int) -> Array:
    """Each row's logit by the model's weights of patterns alone."""
    with np.load(path) as stored:
        weights = stored["patterns"][:, 0].astype(np.float64)
    matcher = AbusePatterns()
    logits = np.array([weights[matcher.hits(text)].sum() for text in instances.texts])
    return row_logits(logits, instances.row, count)


def row_logits(logits: Array, owner: npt.NDArray[np.int64], count: int) -> Array:
    """The worst of each row's windows."""
    found = np.full(count, -np.inf)
    np.maximum.at(found, owner, logits)
    return found


def is_worst(logits: Array, owner: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.bool_]:
    return logits >= row_logits(logits, owner, count)[owner]


def write(path: Path, theta: Array, bias: Array) -> None:
    """The model as the product reads it, in 16 bits."""
    grams, rest = theta[:BUCKETS], theta[BUCKETS:]
    cuts = np.cumsum([DIMENSIONS, len(PATTERNS)])
    static, patterns, shape = np.split(rest, cuts)
    np.savez_compressed(
        path,
        ngrams=grams.astype(np.float16),
        static=(static * SCALES["static"]).astype(np.float16),
        patterns=(patterns * SCALES["patterns"]).astype(np.float16),
        shape=(shape * SCALES["shape"]).astype(np.float16),
        bias=bias.astype(np.float32),
    )
