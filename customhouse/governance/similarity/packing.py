"""Vectors as bytes and as text: half precision, which costs a cosine less than 0.0005."""

from __future__ import annotations

import numpy as np

from customhouse.governance.similarity.embedder import DIMENSIONS, Vector, unit

_HALF = np.dtype("<f2")


def packed(vector: Vector) -> bytes:
    """512 bytes, little-endian."""
    return vector.astype(_HALF).tobytes()


def unpacked(data: bytes, *, is_big_endian: bool = False) -> Vector:
    """Of unit length again. Postgres sends big-endian. Raises ValueError for bytes that no vector was packed into."""
    if len(data) != DIMENSIONS * _HALF.itemsize:
        raise ValueError(f"{len(data)} bytes are no vector of {DIMENSIONS} numbers in half precision")
    return unit(np.frombuffer(data, ">f2" if is_big_endian else _HALF).astype(np.float32))


def as_text(vector: Vector) -> str:
    """As pgvector reads it: `[0.125,-0.5,...]`."""
    return f"[{','.join([f'{number:.5g}' for number in vector.tolist()])}]"
