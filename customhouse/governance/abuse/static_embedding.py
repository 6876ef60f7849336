"""Static word embeddings: a text's vector is the mean of its tokens', looked up in the table that wordllama ships."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

DIMENSIONS = 256
MAX_TEXT = 2_000
"""Characters of one text: a tokenizer's cost grows with the longest stretch it sees."""


class StaticEmbedding:
    """wordllama's table and tokenizer, read from the package's files: its own loader asks the network."""

    def __init__(self) -> None:
        from tokenizers import Tokenizer  # loads a native library

        spec = find_spec("wordllama")
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError("The abuse model needs the package wordllama for its table of word embeddings.")
        folder = Path(spec.origin).parent
        config = (folder / "tokenizers" / "l2_supercat_tokenizer_config.json").read_text(encoding="utf-8")
        self._tokenizer = Tokenizer.from_str(config)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._table = _tensor(folder / "weights" / "l2_supercat_256.safetensors")

    def of(self, texts: Sequence[str]) -> Floats:
        """(texts, DIMENSIONS), each of length 1; zeros for a text without a token."""
        found = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
        for row, text in enumerate(texts):
            ids = self._tokenizer.encode(text[:MAX_TEXT], add_special_tokens=False).ids
            if ids:
                found[row] = self._table[ids].mean(axis=0, dtype=np.float32)
        norms = np.linalg.norm(found, axis=1, keepdims=True)
        found /= np.where(norms > 0, norms, 1)
        return found


def _tensor(path: Path) -> npt.NDArray[np.float16]:
    """The one tensor of a safetensors file, mapped: 8 bytes of header length, a JSON header, then the data."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    (entry,) = (value for name, value in header.items() if name != "__metadata__")
    kinds: dict[str, type[np.floating]] = {"F16": np.float16, "F32": np.float32}
    shape = tuple(entry["shape"])
    mapped = np.memmap(
        path, dtype=kinds[entry["dtype"]], mode="r", offset=8 + size + entry["data_offsets"][0], shape=shape
    )
    return np.asarray(mapped, dtype=np.float16)
