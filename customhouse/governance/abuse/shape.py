"""What a window of text looks like, apart from its words."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

NAMES = ("length", "beyond_ascii", "digits", "capitals", "line_breaks", "punctuation", "spaces", "question", "decoded")


def shape_of(text: str, *, is_decoded: bool) -> Floats:
    """Numbers of NAMES, each of some 0 to 3."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    size = max(len(points), 1)

    def share(mask: npt.NDArray[np.bool_]) -> float:
        return float(np.count_nonzero(mask)) / size

    return np.array(
        [
            np.log1p(size) / 6,
            share(points > 127),
            3 * share((points >= 48) & (points <= 57)),
            3 * share((points >= 65) & (points <= 90)),
            10 * share(points == 10),
            2 * share((points > 32) & (points < 65)),
            3 * share(points == 32),
            float("?" in text),
            float(is_decoded),
        ],
        dtype=np.float32,
    )
