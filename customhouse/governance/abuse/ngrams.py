"""Hashed n-grams of characters and words, counted for all windows of a text in one pass of numpy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from customhouse.governance.abuse.windows import Window

BITS = 18
BUCKETS = 1 << BITS
CHAR_SIZES = (2, 3, 4, 5)

_MIX = np.uint64(0x9E3779B97F4A7C15)
_SPREAD = np.uint64(0xC2B2AE3D27D4EB4F)
_SHIFT = np.uint64(64 - BITS)
_BASE = np.uint64(0x100000001B3)
_BASE_INVERSE = np.uint64(pow(0x100000001B3, -1, 1 << 64))
_SPACE, _ZERO = 32, 48

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


def codepoints(text: str) -> npt.NDArray[np.uint64]:
    """The text in lower case as code points, of the same length: white space as one sort, digits as another."""
    folded = text.lower()
    if len(folded) != len(text):
        folded = "".join(low if len(low := char.lower()) == 1 else char for char in text)
    points = np.frombuffer(folded.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).copy()
    points[(points >= 9) & (points <= 13)] = _SPACE
    points[(points >= 48) & (points <= 57)] = _ZERO
    return points.astype(np.uint64)


def char_buckets(points: npt.NDArray[np.uint64]) -> list[Ints]:
    """For each n-gram size the bucket of the n-gram that starts at each place."""
    found: list[Ints] = []
    with np.errstate(over="ignore"):
        mixed = points * _MIX
        rolling = mixed
        for size in range(2, CHAR_SIZES[-1] + 1):
            if len(points) < size:
                found.append(np.empty(0, dtype=np.int64))
                continue
            rolling = rolling[: len(points) - size + 1] * _BASE + mixed[size - 1 :]
            salted = (rolling ^ (rolling >> np.uint64(29))) * _SPREAD
            found.append((salted >> _SHIFT).astype(np.int64))
    return found


def word_buckets(points: npt.NDArray[np.uint64]) -> tuple[Ints, Ints, Ints]:
    """Where each word starts, its bucket, and the bucket of it with the word after (one fewer)."""
    is_word = ((points >= 97) & (points <= 122)) | (points == _ZERO) | (points == 39) | (points >= 192)
    edges = np.diff(np.concatenate(([0], is_word.astype(np.int8), [0])))
    starts = np.flatnonzero(edges == 1)
    ends = np.flatnonzero(edges == -1)
    if len(starts) == 0:
        empty = np.empty(0, dtype=np.int64)
        return empty, empty, empty
    with np.errstate(over="ignore"):
        powers = np.cumprod(np.concatenate(([np.uint64(1)], np.full(len(points), _BASE, dtype=np.uint64))))
        sums = np.concatenate(([np.uint64(0)], np.cumsum(points * powers[:-1], dtype=np.uint64)))
        inverses = np.cumprod(np.concatenate(([np.uint64(1)], np.full(len(points), _BASE_INVERSE, dtype=np.uint64))))
        hashes = (sums[ends] - sums[starts]) * inverses[starts]
        single = (((hashes ^ (hashes >> np.uint64(31))) * _MIX) >> _SHIFT).astype(np.int64)
        pairs = hashes[:-1] * _SPREAD + hashes[1:]
        double = (((pairs ^ (pairs >> np.uint64(31))) * _MIX) >> _SHIFT).astype(np.int64)
    return starts.astype(np.int64), single, double


def window_sums(text: str, windows: Sequence[Window], weights: Floats) -> Floats:
    """The n-grams' weights summed over each window and divided by the root of their number.

    `weights` is (BUCKETS, outputs); the result (windows, outputs). Linear in the text, whatever the windows overlap.
    """
    points = codepoints(text)
    outputs = weights.shape[1]
    totals = np.zeros((len(windows), outputs), dtype=np.float64)
    counts = np.zeros(len(windows), dtype=np.int64)
    starts = np.fromiter((start for start, _ in windows), dtype=np.int64, count=len(windows))
    ends = np.fromiter((end for _, end in windows), dtype=np.int64, count=len(windows))
    for size, buckets in zip(CHAR_SIZES, char_buckets(points), strict=True):
        last = np.minimum(ends - size + 1, len(buckets))
        _add(totals, counts, weights, buckets, starts, np.maximum(last, starts))
    places, single, double = word_buckets(points)
    first, last = np.searchsorted(places, starts), np.searchsorted(places, ends)
    _add(totals, counts, weights, single, first, last)
    _add(totals, counts, weights, double, first, np.maximum(np.minimum(last - 1, len(double)), first))
    return (totals / np.sqrt(np.maximum(counts, 1))[:, None]).astype(np.float32)


def bucket_counts(text: str) -> tuple[Ints, Floats]:
    """The text's buckets and their values, as `window_sums` weighs them for one window over all of it: for training."""
    points = codepoints(text)
    _, single, double = word_buckets(points)
    everything = np.concatenate([*char_buckets(points), single, double])
    buckets, counts = np.unique(everything, return_counts=True)
    return buckets, (counts / np.sqrt(max(len(everything), 1))).astype(np.float32)


def _add(
    totals: npt.NDArray[np.float64], counts: Ints, weights: Floats, buckets: Ints, starts: Ints, ends: Ints
) -> None:
    """Adds to `totals` the weights of buckets[start:end] for each window. Windows begin in order and overlap."""
    if len(buckets) == 0:
        return
    low, high = np.minimum(starts, len(buckets)), np.minimum(ends, len(buckets))
    if len(starts) == 1:
        totals[0] += weights[buckets[low[0] : high[0]]].sum(axis=0, dtype=np.float64)
    else:
        running = np.zeros((len(buckets) + 1, weights.shape[1]), dtype=np.float64)
        np.cumsum(weights[buckets], axis=0, dtype=np.float64, out=running[1:])
        totals += running[high] - running[low]
    counts += high - low
