"""A million prompts as vectors: clusters around real prompts, in organizations of very unequal size."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from customhouse.governance.similarity.embedder import DIMENSIONS, Matrix, StaticEmbedder, units
from customhouse.governance.similarity.known_abuse import KnownAbuse
from customhouse.governance.similarity.prompt_vector import PromptEmbedder

SEED = 20260801
SHARES = (0.4, 0.2, *([0.04] * 8), *([0.0008] * 100))
"""Of all prompts, by organization: two large ones, eight middling ones, a hundred small ones."""

FARTHEST, NEAREST = 0.55, 0.99
"""Cosines of a prompt to the middle of its cluster."""

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""Postgres counts its time from here."""


@dataclass(frozen=True, slots=True)
class Corpus:
    vectors: NDArray[np.float16]
    organizations: NDArray[np.int32]
    """By row: a place in `ids`."""
    ids: tuple[UUID, ...]


def middles(data: Path) -> Matrix:
    """Real prompts' vectors: of the texts in `data` where it is there, else of the library of known abuse."""
    files = sorted(data.glob("train*.jsonl"))
    if not files:
        return KnownAbuse.load().vectors
    embedder = PromptEmbedder(StaticEmbedder.load())
    texts = (json.loads(line)["text"] for file in files for line in file.open(encoding="utf-8"))
    return np.stack([embedder.embed(text).vector for text in texts])


def make(size: int, around: Matrix) -> Corpus:
    rng = np.random.default_rng(SEED)
    organizations = rng.choice(len(SHARES), size=size, p=np.array(SHARES) / sum(SHARES)).astype(np.int32)
    vectors = np.empty((size, DIMENSIONS), np.float16)
    for start in range(0, size, 50_000):
        chosen = around[rng.integers(len(around), size=min(50_000, size - start))]
        vectors[start : start + len(chosen)] = jittered(chosen, rng, FARTHEST, NEAREST)
    ids = tuple(UUID(int=rng.integers(2**62).item() << 64 | place) for place in range(len(SHARES)))
    return Corpus(vectors, organizations, ids)


def jittered(vectors: Matrix, rng: np.random.Generator, farthest: float, nearest: float) -> Matrix:
    """Each vector moved in a random direction, to a cosine between the two."""
    noise = units(rng.standard_normal(vectors.shape).astype(np.float32))
    cosine = rng.uniform(farthest, nearest, (len(vectors), 1)).astype(np.float32)
    return units((cosine * vectors + np.sqrt(1 - cosine**2) * noise).astype(np.float32))


def copy_rows(corpus: Corpus, days: int, now: datetime) -> Iterator[bytes]:
    """The body of a binary COPY into `prompt_vectors`: ages are spread evenly over the days before `now`."""
    row = np.dtype(
        [("fields", ">i2"), ("n1", ">i4"), ("id", "S16"), ("n2", ">i4"), ("created_at", ">i8"), ("n3", ">i4"),
         ("organization", "S16"), ("n4", ">i4"), ("hash", "S64"), ("n5", ">i4"), ("dimensions", ">i2"),
         ("unused", ">i2"), ("vector", ">f2", (DIMENSIONS,))]
    )  # fmt: skip
    size = len(corpus.vectors)
    first = now - timedelta(days=days)
    organizations = np.array([np.frombuffer(id_.bytes, np.uint8) for id_ in corpus.ids])
    yield b"PGCOPY\n\xff\r\n\0" + bytes(8)
    for start in range(0, size, 50_000):
        numbers = np.arange(start, min(start + 50_000, size))
        rows = np.zeros(len(numbers), row)
        rows["fields"], rows["n1"], rows["n2"], rows["n3"], rows["n4"] = 5, 16, 8, 16, 64
        rows["n5"], rows["dimensions"] = 4 + 2 * DIMENSIONS, DIMENSIONS
        _bytes(rows, "id")[:, 8:] = (numbers[:, None] >> np.arange(56, -8, -8)) & 0xFF
        _bytes(rows, "organization")[:] = organizations[corpus.organizations[numbers]]
        _bytes(rows, "hash")[:] = np.frombuffer(
            b"".join(b"%064x" % number for number in numbers.tolist()), np.uint8
        ).reshape(-1, 64)
        age = (numbers / size * days * 86_400 * 1_000_000).astype(np.int64)
        rows["created_at"] = age + round((first - _EPOCH).total_seconds() * 1_000_000)
        rows["vector"] = corpus.vectors[numbers]
        yield rows.tobytes()
    yield b"\xff\xff"


def _bytes(rows: NDArray[np.void], field: str) -> NDArray[np.uint8]:
    """A view of a field of fixed length: numpy's own strings end at their first NUL."""
    dtype, offset = rows.dtype.fields[field][:2]  # type: ignore[index]
    return np.ndarray((len(rows), dtype.itemsize), np.uint8, rows, offset, (rows.dtype.itemsize, 1))
