"""The shared library of known abuse: vectors of published attacks and harmful requests, never anybody's prompts.

`training/similarity_threshold.py` makes the file from sources under free licences.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from customhouse.contracts.errors import ConfigurationError
from customhouse.governance.similarity.embedder import DIMENSIONS, Matrix, Vector, cosines, units

FILE = "known_abuse.npz"

_SCALE = 127


class KnownAbuse:
    """Vectors to compare with. Read-only; may be shared between threads."""

    def __init__(self, vectors: Matrix, categories: NDArray[np.str_]) -> None:
        """`vectors`: of unit length, one a row, each with its category."""
        self._vectors = vectors
        self._categories = categories

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """From `path`; by default the file that ships. Raises ConfigurationError where it cannot be used."""
        with _path(path) as file:
            try:
                with np.load(file, allow_pickle=False) as stored:
                    vectors, categories = stored["vectors"], stored["categories"]
            except (OSError, KeyError, ValueError) as error:
                raise ConfigurationError(
                    f"The library of known abuse, {file}, cannot be read: {error}. Install Customhouse again, or make "
                    "it with `python -m training.similarity_threshold`."
                ) from error
        if vectors.ndim != 2 or vectors.shape[1] != DIMENSIONS or len(vectors) != len(categories):
            raise ConfigurationError(
                f"The library of known abuse, {file}, holds vectors of the shape {vectors.shape} and "
                f"{len(categories)} categories; wanted are {DIMENSIONS} numbers and a category for each."
            )
        return cls(units(vectors.astype(np.float32)), categories)

    def __len__(self) -> int:
        return len(self._vectors)

    @property
    def vectors(self) -> Matrix:
        return self._vectors

    def nearest(self, vector: Vector) -> tuple[float, str]:
        """Cosine to the nearest known abuse, and its category; (0, "") where the library is empty."""
        if not len(self._vectors):
            return 0.0, ""
        scores = cosines(self._vectors, vector)
        place = int(scores.argmax())
        return float(scores[place]), str(self._categories[place])

    def nearest_known_abuse(self, vector: Vector) -> float:
        """Cosine to the nearest known abuse."""
        return self.nearest(vector)[0]


def save(path: Path, vectors: Matrix, categories: list[str]) -> None:
    """Write a library: 256 bytes a vector, each number at one of 255 steps."""
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    steps = np.round(vectors / np.where(largest > 0, largest, 1) * _SCALE).astype(np.int8)
    np.savez_compressed(path, vectors=steps, categories=np.array(categories))


@contextmanager
def _path(path: Path | None) -> Iterator[Path]:
    if path is not None:
        yield path
        return
    with as_file(files(__package__) / FILE) as shipped:
        yield shipped
