"""Texts as vectors: static embeddings, one vector a token, averaged. No network, no model run, some 0.2 ms a prompt.

The weights and the tokenizer come out of the package `wordllama` (MIT); they are read directly, since its own loader
wants the network. `docs/similarity.md` tells what such vectors see and what they do not: order, for one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from customhouse.contracts.errors import ConfigurationError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Vector = NDArray[np.float32]
"""Of DIMENSIONS numbers and unit length, or all zero for a text without tokens."""

Matrix = NDArray[np.float32]
"""One vector a row."""

DIMENSIONS = 256

WEIGHTS = Path("weights") / "l2_supercat_256.safetensors"
TOKENIZER = Path("tokenizers") / "l2_supercat_tokenizer_config.json"

MAX_CHARS = 32_768
"""Characters that are looked at. Of longer texts, WINDOWS stretches spread evenly over the whole."""

WINDOWS = 16

_CHUNK_CHARS = 2_048
"""Longest stretch given to the tokenizer at once: its time grows faster than its text, above all within one word."""

_TENSOR = "embedding.weight"

_LAST_BYTE = 258
"""Tokens up to here are marks of the tokenizer's own, and the 256 bytes."""


class StaticEmbedder:
    """Averages the tokens' vectors. Holds 16 MB, read-only; may be shared between threads."""

    def __init__(self, weights: NDArray[np.float16], tokenizer: Tokenizer) -> None:
        """`weights`: one row of DIMENSIONS numbers a token."""
        self._weights = weights
        self._tokenizer = tokenizer

    @classmethod
    def load(cls, folder: Path | None = None) -> Self:
        """From `folder`, laid out as the package `wordllama` is; by default from that package.

        Raises ConfigurationError where there is nothing that can be used.
        """
        # Heavy, and wanted only where texts are embedded.
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        folder = folder or _package_folder()
        try:
            weights = load_file(folder / WEIGHTS)[_TENSOR]
            # Not `from_file`: its errors have no type of their own.
            tokenizer = Tokenizer.from_str((folder / TOKENIZER).read_text(encoding="utf-8"))
        except (OSError, KeyError, SafetensorError) as error:
            raise ConfigurationError(
                f"The static embeddings in {folder} cannot be used: {error}. Install the package wordllama again "
                "(`make install`)."
            ) from error
        if weights.ndim != 2 or weights.shape[1] != DIMENSIONS or len(weights) < tokenizer.get_vocab_size():
            raise ConfigurationError(
                f"The static embeddings in {folder} have the shape {weights.shape}; wanted are {DIMENSIONS} numbers "
                f"for each of {tokenizer.get_vocab_size()} tokens. Install wordllama as the lock file names it."
            )
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return cls(np.ascontiguousarray(weights, dtype=np.float16), tokenizer)

    def embed(self, text: str) -> Vector:
        """The text's vector, of unit length; zero for a text without tokens."""
        return unit(self._sum(text))

    def embed_many(self, texts: Iterable[str]) -> Matrix:
        """As `embed`, one row a text."""
        rows = [self._sum(text) for text in texts]
        return units(np.stack(rows)) if rows else np.zeros((0, DIMENSIONS), np.float32)

    def sum_of_words(self, text: str) -> tuple[Vector, int]:
        """The sum of the tokens' vectors and their number, without the bytes that stand for unknown characters."""
        ids = [id_ for id_ in self._ids(text) if id_ > _LAST_BYTE]
        return self._total(ids), len(ids)

    def known_characters(self) -> NDArray[np.bool_]:
        """By code point: whether there is a token for the character. All others become bytes."""
        known = np.zeros(0x110000, np.bool_)
        known[[ord(token) for token in self._tokenizer.get_vocab() if len(token) == 1]] = True
        known[:128] = True
        return known

    def typical_length(self) -> float:
        """Of one token's vector: the root mean square."""
        return float(np.sqrt(np.mean(np.square(self._weights, dtype=np.float32)) * DIMENSIONS))

    def _sum(self, text: str) -> Vector:
        return self._total(self._ids(text))

    def _ids(self, text: str) -> list[int]:
        # A lone surrogate is no text, and the tokenizer takes none.
        plain = text.encode("utf-8", "replace").decode() if not text.isascii() else text
        encode = self._tokenizer.encode
        return [id_ for chunk in _chunks(plain) for id_ in encode(chunk, add_special_tokens=False).ids]

    def _total(self, ids: Sequence[int]) -> Vector:
        if not ids:
            return np.zeros(DIMENSIONS, np.float32)
        total: Vector = self._weights[ids].sum(axis=0, dtype=np.float32)
        return total


def cosines(matrix: Matrix, vector: Vector) -> Vector:
    """Of each row with the vector, all of them of unit length.

    Row by row, on this thread: as a product of matrices BLAS would take it to threads of its own, which on a busy
    machine costs fifty times as much.
    """
    scores: Vector = np.vecdot(matrix, vector)
    return scores


def unit(vector: Vector) -> Vector:
    """The vector at length 1; zero stays zero."""
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length > 0 else vector


def units(matrix: Matrix) -> Matrix:
    """Every row at length 1; rows of zero stay zero."""
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    return (matrix / np.where(lengths > 0, lengths, 1)).astype(np.float32, copy=False)


def _chunks(text: str) -> Iterable[str]:
    """The stretches that are looked at, cut at spaces where there are any."""
    for stretch in windows(text):
        start = 0
        while start < len(stretch):
            end = start + _CHUNK_CHARS
            if end < len(stretch):
                end = max(stretch.rfind(" ", start + 1, end), stretch.rfind("\n", start + 1, end)) + 1 or end
            yield stretch[start:end]
            start = end


def windows(text: str) -> Sequence[str]:
    """The whole text or, where it is longer than MAX_CHARS, stretches spread evenly over it."""
    if len(text) <= MAX_CHARS:
        return (text,)
    width = MAX_CHARS // WINDOWS
    return [text[start : start + width] for start in np.linspace(0, len(text) - width, WINDOWS, dtype=int)]


def _package_folder() -> Path:
    """The package is not imported: that would set up logging for the whole process."""
    spec = find_spec("wordllama")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationError(
            "The package wordllama, whose static embeddings prompts are compared by, is not installed. Run "
            "`make install`."
        )
    return Path(spec.submodule_search_locations[0])
