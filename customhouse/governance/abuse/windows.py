"""A long text as overlapping windows of sentences: nothing is cut away, and each is as long as a model reads well."""

from __future__ import annotations

import re

Window = tuple[int, int]
"""Start and end (exclusive) in characters."""

TARGET = 320
"""Characters of a window; a text of no more than half as much again is one window."""

_REACH = TARGET // 2

_BOUNDARY = re.compile(r"\n+|[.!?。！？।]+[\"'”’)\]]*\s|[;:]\s|\s*[|,]\s")
"""Where a text may be parted without parting a thought, and (as tables have no sentences) a cell."""


def windows_of(text: str) -> list[Window]:
    """Windows of some TARGET characters that cover the text, each half over the one before. Linear in the text."""
    length = len(text)
    if length <= TARGET + _REACH:
        return [(0, length)]
    starts = _starts(text)
    found: list[Window] = []
    for index, start in enumerate(starts):
        end = starts[index + 2] if index + 2 < len(starts) else length
        found.append((start, end))
        if end == length:
            break
    return found


def _starts(text: str) -> list[int]:
    """Places some half a window apart, at a boundary where one is near, else where the half window ends."""
    starts = [0]
    length = len(text)
    while length - starts[-1] > TARGET:
        least = starts[-1] + _REACH * 2 // 3
        most = starts[-1] + _REACH
        best = most
        for match in _BOUNDARY.finditer(text, least, most):
            best = match.end()
        starts.append(best)
    return starts
