"""Rows as what the tiers read: windows of the normalized text and of what is decoded from it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from customhouse.governance.abuse.windows import windows_of
from customhouse.governance.text.view import view_of
from training.data import Row

MAX_TEXT = 8_000
MAX_WINDOWS = 6
"""Of one row: a few long texts would else outweigh many short ones, and cost as much as all."""


@dataclass(frozen=True, slots=True)
class Instances:
    texts: list[str]
    is_decoded: npt.NDArray[np.bool_]
    row: npt.NDArray[np.int64]
    """Which row each belongs to."""


def capped(rows: Sequence[Row], per_source: int, seed: int) -> list[Row]:
    """At most `per_source` rows of each source and category, drawn at random, near-duplicates last."""
    order = np.random.default_rng(seed).permutation(len(rows))
    seen: Counter[int] = Counter()
    ranked: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for index in order:
        row = rows[index]
        ranked[row.source, row.category].append((seen[row.group], int(index)))
        seen[row.group] += 1
    chosen = {
        index for candidates in ranked.values() for _, index in sorted(candidates, key=lambda c: c[0])[:per_source]
    }
    return [row for index, row in enumerate(rows) if index in chosen]


def instances_of(rows: Sequence[Row], seed: int) -> Instances:
    draw = np.random.default_rng(seed)
    texts: list[str] = []
    decoded: list[bool] = []
    owner: list[int] = []
    for index, row in enumerate(rows):
        view = view_of(row.text[:MAX_TEXT])
        for text, is_decoded in [(view.normalized, False), *((form.text, True) for form in view.forms)]:
            windows = windows_of(text)
            if len(windows) > MAX_WINDOWS:
                windows = [windows[k] for k in sorted(draw.choice(len(windows), MAX_WINDOWS, replace=False))]
            for start, end in windows:
                texts.append(text[start:end])
                decoded.append(is_decoded)
                owner.append(index)
    return Instances(texts, np.array(decoded), np.array(owner))
