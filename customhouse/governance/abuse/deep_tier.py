"""The deep tier: a small multilingual transformer in 8 bits, run by onnxruntime on one thread."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

MAX_TOKENS = 128
"""Of one piece, its two marks included. A window of more (as in scripts with few letters a token) is read in pieces."""

MAX_PIECES = 3
"""Of one window: its beginning, its end, and its middle."""

BOS, EOS = 0, 2
BLOCK = 32


class DeepTier:
    """`deep.onnx` takes vectors of tokens and gives scores; `deep_table.npz` has the tokens' vectors in 4 bits."""

    def __init__(self, directory: Path) -> None:
        import onnxruntime  # type: ignore[import-untyped]  # loads a native library
        from tokenizers import Tokenizer

        self._tokenizer: Any = Tokenizer.from_file(str(directory / "deep_tokenizer.json"))
        with np.load(directory / "deep_table.npz") as stored:
            self._nibbles: npt.NDArray[np.uint8] = stored["nibbles"]
            self._scales: npt.NDArray[np.float16] = stored["scales"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session: Any = onnxruntime.InferenceSession(
            str(directory / "deep.onnx"), options, providers=["CPUExecutionProvider"]
        )

    def read(self, texts: Sequence[str]) -> tuple[Floats, Floats]:
        """Of each text the logit of abuse (texts) and those of the categories (texts, categories)."""
        found = [self._worst(text) for text in texts]
        return np.array([row[0] for row in found], dtype=np.float32), np.stack([row[1:] for row in found])

    def _worst(self, text: str) -> Floats:
        rows = [self._run(piece) for piece in pieces_of(self._tokenizer.encode(text, add_special_tokens=False).ids)]
        return max(rows, key=lambda row: float(row[0]))

    def _run(self, ids: Sequence[int]) -> Floats:
        vectors = self._vectors(np.array([BOS, *ids, EOS]))
        (scores,) = self._session.run(None, {"vectors": vectors[None]})
        row: Floats = scores[0]
        return row

    def _vectors(self, ids: npt.NDArray[np.int64]) -> Floats:
        """(tokens, hidden): each token's vector from its blocks of 32 four-bit numbers and their scales."""
        packed = self._nibbles[ids]
        low, high = (packed & 15).astype(np.float32), (packed >> 4).astype(np.float32)
        values = np.concatenate([low, high], axis=-1) - 8
        return (values * self._scales[ids].astype(np.float32)[..., None]).reshape(len(ids), -1)


def pieces_of(ids: Sequence[int]) -> list[Sequence[int]]:
    """At most MAX_PIECES pieces of at most MAX_TOKENS with their marks: beginning, end, and what lies amid."""
    room = MAX_TOKENS - 2
    if len(ids) <= room:
        return [ids]
    pieces = [ids[:room], ids[-room:]]
    if len(ids) > 2 * room:
        start = (len(ids) - room) // 2
        pieces.append(ids[start : start + room])
    return pieces
