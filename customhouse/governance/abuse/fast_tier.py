"""The fast tier: n-grams, word embeddings, patterns and shape, weighed by one linear model. Some 2 ms a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from customhouse.governance.abuse.ngrams import window_sums
from customhouse.governance.abuse.patterns import PATTERNS, AbusePatterns
from customhouse.governance.abuse.shape import shape_of
from customhouse.governance.abuse.static_embedding import StaticEmbedding
from customhouse.governance.abuse.windows import Window, windows_of

Floats = npt.NDArray[np.float32]

MAX_FULL = 192
"""Windows of one text that all features are made for. Of a text with more, n-grams rank all, and the rest of the
features is made for the first, the last and those ranked highest."""

_NO_PATTERN: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Windowed:
    """One text's windows, and what the tier makes of each."""

    windows: list[Window]
    logits: Floats
    """(windows): of being abuse, in the model's own scale."""
    categories: Floats
    """(windows, categories): of each category, in the model's own scale."""
    patterns: list[list[int]]
    """Of each window the patterns that it matches."""

    def order(self) -> list[int]:
        """The windows from the most suspicious on."""
        return [int(index) for index in np.argsort(-self.logits, kind="stable")]


class FastTier:
    """Weights: `ngrams` (buckets, 1 + categories), `static`, `patterns`, `shape` likewise, and `bias`."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as stored:
            self._ngrams: Floats = stored["ngrams"].astype(np.float32)
            self._static: Floats = stored["static"].astype(np.float32)
            self._patterns: Floats = stored["patterns"].astype(np.float32)
            self._shape: Floats = stored["shape"].astype(np.float32)
            self._bias: Floats = stored["bias"].astype(np.float32)
        if len(self._patterns) != len(PATTERNS):
            raise ValueError(
                f"{path} knows {len(self._patterns)} patterns, and this version has {len(PATTERNS)}: "
                "make the model anew with `make train`."
            )
        self._matcher = AbusePatterns()
        self._embedding = StaticEmbedding()

    def read(self, text: str, *, is_decoded: bool = False, without: frozenset[str] = _NO_PATTERN) -> Windowed:
        """`without` leaves out `patterns`, or with `fast` all that is not patterns. Linear in the text."""
        windows = windows_of(text)
        if "fast" in without:
            scores = np.zeros((len(windows), len(self._bias)), dtype=np.float32)
        else:
            scores = window_sums(text, windows, self._ngrams) + self._bias
        full = self._full(scores[:, 0])
        hits: list[list[int]] = [[] for _ in windows]
        if "fast" not in without:
            texts = [text[start:end] for start, end in (windows[index] for index in full)]
            scores[full] += self._embedding.of(texts) @ self._static
            scores[full] += np.stack([shape_of(each, is_decoded=is_decoded) for each in texts]) @ self._shape
        if "patterns" not in without:
            for index in full:
                start, end = windows[index]
                hits[index] = self._matcher.hits(text[start:end])
                if hits[index]:
                    scores[index] += self._patterns[hits[index]].sum(axis=0)
        if len(full) < len(windows):
            # What the other features would add is unknown there: they stand as low as the lowest that has all.
            rest = np.setdiff1d(np.arange(len(windows)), full)
            scores[rest, 0] = np.minimum(scores[rest, 0], scores[full, 0].min())
        return Windowed(windows, scores[:, 0], scores[:, 1:], hits)

    def pattern_span(self, index: int, text: str) -> Window | None:
        return self._matcher.first_span(index, text)

    @staticmethod
    def _full(logits: Floats) -> npt.NDArray[np.int64]:
        if len(logits) <= MAX_FULL:
            return np.arange(len(logits))
        ranked = np.argpartition(-logits, MAX_FULL - 2)[: MAX_FULL - 2]
        return np.unique(np.concatenate([ranked, [0, len(logits) - 1]])).astype(np.int64)


def best_category(scores: Sequence[float] | Floats) -> int:
    return int(np.argmax(np.asarray(scores)))
