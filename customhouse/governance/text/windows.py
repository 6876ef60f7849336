"""Long text in windows of whole sentences, for checks that read only so much at once. Nothing is cut away."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right

_SENTENCE_END = re.compile("[.!?\u2026\u061f\u0964][\"')\\]\u201d\u2019]{0,3}(?=\\s)|[\u3002\uff01\uff1f]|\n")


def sentence_windows(text: str, max_chars: int, overlap: int = 0) -> list[tuple[int, int]]:
    """Start and end (exclusive) of windows that cover all of `text`, each at most `max_chars` long. Linear.

    A window ends with the last sentence or line that ends in its second half; where none does, with a word; and a word
    that is too long is split. The next one begins with a sentence or word up to `overlap` characters before that end,
    so that what stands on a border is seen whole in one of them: not so for a word that had to be split.

    Raises ValueError where `overlap` is negative or over a quarter of `max_chars`, or `max_chars` is below 4.
    """
    if max_chars < 4 or not 0 <= overlap <= max_chars // 4:
        raise ValueError(
            f"max_chars is {max_chars} and overlap {overlap}: give at least 4, and as overlap at most a quarter."
        )
    ends = [match.end() for match in _SENTENCE_END.finditer(text)] if len(text) > max_chars else []
    windows: list[tuple[int, int]] = []
    start = 0
    while len(text) - start > max_chars:
        end = _last(text, ends, start + max_chars // 2 + 1, start + max_chars) or start + max_chars
        windows.append((start, end))
        start = _first(text, ends, end - overlap, end) if overlap else end
    windows.append((start, len(text)))
    return windows


def _last(text: str, ends: list[int], low: int, high: int) -> int | None:
    """The last place from `low` to `high` where a sentence ends, or else a word."""
    position = bisect_right(ends, high) - 1
    if position >= 0 and ends[position] >= low:
        return ends[position]
    space = max(text.rfind(white, low - 1, high) for white in " \n\t")
    return space + 1 if space >= 0 else None


def _first(text: str, ends: list[int], low: int, high: int) -> int:
    """The first place from `low` to `high` where a sentence begins, or else a word."""
    position = bisect_left(ends, low)
    if position < len(ends) and ends[position] < high:
        return ends[position]
    spaces = [place for white in " \n\t" if (place := text.find(white, low, high)) >= 0]
    return min(spaces) + 1 if spaces else high
