"""Prompts as vectors for finding copies: static embeddings, for any script, whatever the case and spacing.

The tokenizer knows Latin, Cyrillic and some more; of other scripts it sees bare bytes, by which all Amharic would be
one text. There, pairs of neighbouring characters stand for tokens, each pair with a random vector of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from customhouse.governance.similarity.embedder import DIMENSIONS, StaticEmbedder, Vector, unit, windows
from customhouse.governance.similarity.prompts import normalized

NAME = "wordllama-l2-supercat-256 with character pairs, 1"
"""What thresholds are bound to: another embedder's cosines mean something else."""

_BUCKETS = 4096
"""Vectors that pairs of characters share: two different pairs meet in one by a chance of 1 in 4,096."""

_SEED = 20_260_801


@dataclass(frozen=True, slots=True)
class PromptVector:
    """A prompt as it is compared."""

    vector: Vector
    tokens: int
    """How many tokens it is the average of. Few say little."""


class PromptEmbedder:
    """Holds 5 MB besides the embedder's; read-only; may be shared between threads."""

    def __init__(self, static: StaticEmbedder) -> None:
        self._static = static
        scale = static.typical_length() / np.sqrt(DIMENSIONS)
        pairs = np.random.default_rng(_SEED).standard_normal((_BUCKETS, DIMENSIONS)) * scale
        self._pairs = pairs.astype(np.float32)
        self._known = static.known_characters()

    def embed(self, text: str) -> PromptVector:
        """The prompt's vector, of unit length; zero for a text without tokens."""
        plain = normalized(" ".join(windows(text)))
        total, tokens = self._static.sum_of_words(plain)
        if not plain.isascii():
            strange, count = self._sum_of_pairs(plain)
            total, tokens = total + strange, tokens + count
        return PromptVector(unit(total), tokens)

    def _sum_of_pairs(self, text: str) -> tuple[Vector, int]:
        codes = np.frombuffer(text.encode("utf-32-le", "replace"), np.uint32).astype(np.int64)
        strange = ~self._known[codes]
        if not strange.any():
            return np.zeros(DIMENSIONS, np.float32), 0
        alone = codes[strange]
        both = strange[:-1] & strange[1:]
        pairs = codes[:-1][both] * 0x1_0000_1 + codes[1:][both]
        features: NDArray[np.int64] = np.concatenate([alone, pairs]) * 0x9E37_79B1 % 0xFFFF_FFFB % _BUCKETS
        buckets, counts = np.unique(features, return_counts=True)
        total: Vector = (self._pairs[buckets] * counts[:, None].astype(np.float32)).sum(axis=0)
        return total, len(features)
