"""A text made from another one, and where each of its characters comes from."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from enum import StrEnum

SEPARATOR = "\n\x1e\n"
"""Between stretches that were decoded apart and stand in one form. Normalized text holds no such control character."""


class How(StrEnum):
    """What was done to a text to get at a form of it."""

    NORMALIZED = "normalized"
    BASE64 = "base64"
    HEX = "hex"
    ESCAPES = "escapes"
    """Percent signs of URLs, HTML entities, and the `\\u` and `\\x` of program texts."""
    VARIATION_SELECTORS = "variation_selectors"
    BINARY = "binary"
    CHARACTER_CODES = "character_codes"
    MORSE = "morse"
    ROT13 = "rot13"
    REVERSED = "reversed"
    LEETSPEAK = "leetspeak"
    SPACED_LETTERS = "spaced_letters"


class Offsets:
    """Segments of a made text, from left to right, and the stretch of the source that each stands for."""

    __slots__ = ("_ends", "_exact", "_origins", "_starts")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._origins: list[int] = []
        self._ends: list[int] = []
        self._exact: list[bool] = []

    def add(self, start: int, origin: int, end: int, *, is_exact: bool) -> None:
        """The segment from `start` of the made text stands for `origin` to `end` of the source. Exact: character for
        character, so that a part of the segment stands for that part of the stretch, and not for all of it.
        """
        if is_exact and self._exact and self._exact[-1] and self._ends[-1] == origin:
            self._ends[-1] = end
            return
        self._starts.append(start)
        self._origins.append(origin)
        self._ends.append(end)
        self._exact.append(is_exact)

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The stretch of the source that `start` to `end` of the made text comes from."""
        first = bisect_right(self._starts, start) - 1
        last = max(bisect_left(self._starts, end) - 1, first)
        begin, stop = self._origins[first], self._ends[last]
        if self._exact[first]:
            begin = min(begin + start - self._starts[first], self._ends[first])
        if self._exact[last]:
            stop = min(self._origins[last] + end - self._starts[last], stop)
        return begin, max(begin, stop)


@dataclass(frozen=True, slots=True)
class Form:
    """A text to be read besides, or instead of, the one that was sent."""

    text: str
    how: How
    start: int
    """The form is made from `start` to `end` (exclusive) of the original."""
    end: int
    offsets: Offsets | None = None
    """To the text that it was made from; None: character for character."""
    made_from: Form | None = None
    """None: from the original."""

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The stretch of the original that `start` to `end` of this form's text comes from: redact there."""
        if self.offsets is not None:
            start, end = self.offsets.span(start, end)
        return (start, end) if self.made_from is None else self.made_from.span(start, end)

    @property
    def path(self) -> tuple[How, ...]:
        """How the original became this, step by step, normalization left out: `(BASE64, ROT13)`."""
        before = self.made_from.path if self.made_from else ()
        return before if self.how is How.NORMALIZED else (*before, self.how)


class Maker:
    """Puts a text together piece by piece, and keeps where each comes from."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._length = 0
        self.offsets = Offsets()

    def copy(self, text: str, origin: int) -> None:
        """Stands in the source at `origin` as it is, or character for character."""
        if text:
            self.offsets.add(self._length, origin, origin + len(text), is_exact=True)
            self._append(text)

    def put(self, text: str, origin: int, end: int) -> None:
        """Stands for all from `origin` to `end` of the source."""
        if text:
            self.offsets.add(self._length, origin, end, is_exact=False)
            self._append(text)

    @property
    def has_text(self) -> bool:
        return self._length > 0

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def _append(self, text: str) -> None:
        self._pieces.append(text)
        self._length += len(text)
