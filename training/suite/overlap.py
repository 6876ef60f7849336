"""Near-copies by character 5-grams: which texts are more than 0.7 alike (Jaccard). Exact up to hashing. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Grams = npt.NDArray[np.uint64]

SIZE = 5
ALIKE = 0.7
_BASE = np.uint64(1_000_003)
_MIX = np.uint64(0x9E3779B97F4A7C15)


def grams(text: str) -> Grams:
    """The set of a text's 5-grams, as sorted hashes; letter case and runs of blanks do not count."""
    codes = np.array([ord(letter) for letter in " ".join(text.lower().split()).ljust(SIZE)], dtype=np.uint64)
    hashed = np.zeros(codes.size - SIZE + 1, dtype=np.uint64)
    for place in range(SIZE):
        hashed = hashed * _BASE + codes[place : codes.size - SIZE + 1 + place]
    mixed: Grams = np.unique(hashed * _MIX)
    return mixed


def near_copies(texts: Sequence[str], others: Sequence[str] | None = None) -> dict[int, int]:
    """For each text that is more than 0.7 like one of the others, its index and that of the first such other.

    Without `others`, the texts before it are meant. Two texts that much alike must share one of the rarest 30 % of
    their 5-grams: only such pairs are compared.
    """
    own = [grams(text) for text in texts]
    known = own if others is None else [grams(text) for text in others]
    every, counts = np.unique(np.concatenate([*known, *([] if others is None else own)]), return_counts=True)
    held = _index([_rarest(each, every, counts) for each in known])
    sizes = np.array([each.size for each in known])
    found: dict[int, int] = {}
    for index, each in enumerate(own):
        candidates = _candidates(_rarest(each, every, counts), *held)
        if others is None:
            candidates = candidates[candidates < index]
        is_near = np.minimum(sizes[candidates], each.size) >= ALIKE * np.maximum(sizes[candidates], each.size)
        for other in candidates[is_near]:
            if (others is not None or other not in found) and _is_alike(each, known[other]):
                found[index] = int(other)
                break
    return found


def _rarest(each: Grams, every: Grams, counts: npt.NDArray[np.int64]) -> Grams:
    kept = each.size - math.ceil(ALIKE * each.size) + 1
    return each[np.argsort(counts[np.searchsorted(every, each)], kind="stable")[:kept]]


def _index(sets: Sequence[Grams]) -> tuple[Grams, npt.NDArray[np.int64]]:
    flat = np.concatenate(sets)
    owners = np.repeat(np.arange(len(sets)), [each.size for each in sets])
    order = np.argsort(flat, kind="stable")
    return flat[order], owners[order]


def _candidates(wanted: Grams, flat: Grams, owners: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    first, last = np.searchsorted(flat, wanted, "left"), np.searchsorted(flat, wanted, "right")
    hit = first < last
    parts = [owners[a:b] for a, b in zip(first[hit], last[hit], strict=True)]
    return np.unique(np.concatenate(parts)) if parts else np.array([], dtype=np.int64)


def _is_alike(one: Grams, two: Grams) -> bool:
    shared = np.intersect1d(one, two, assume_unique=True).size
    return bool(shared > ALIKE * (one.size + two.size - shared))
