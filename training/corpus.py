"""All that the model learns from: the labelled files, less what may not be shipped, and texts of our own making."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random

from training.data import MADE, Row, load, rows_of
from training.instances import capped
from training.made import indirect
from training.made.build import build


def corpus(paths: Sequence[Path], *, per_source: int, made: int, seed: int) -> list[Row]:
    """At most `per_source` rows of each source and category, and made texts, `made` of each sort."""
    real = load(paths)
    random = Random(seed)  # noqa: S311 (nothing here is secret)
    documents = [
        (row.text, row.family)
        for row in real
        if row.category in {"benign_context", "benign_coding"} and len(row.text) < 3000
    ]
    texts = [*build(seed, made), *indirect.onto(random, documents, made)]
    own = [
        Row(
            row.text,
            row.is_abuse,
            row.category,
            row.source,
            text.get("family", MADE),
            len(real) + row.group,
            row.focus,
        )
        for row, text in zip(rows_of(texts), texts, strict=True)
    ]
    return [*capped(real, per_source, seed), *own]
