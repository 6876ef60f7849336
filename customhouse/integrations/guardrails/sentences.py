"""Cuts a text into sentences, the same ones whether it comes whole or in pieces."""

from __future__ import annotations

import re
from collections.abc import Iterator

MAX_SENTENCE = 2_000
"""Characters. What goes on for longer is cut at a blank, or where it has none, right there."""

_END = re.compile(r"""[.!?…]["')\]”’]*(?=\s)|\n|[。！？]""")
"""A sentence's end is certain only with the blank after it: `3.14`, `a.b.com` and `...` go on."""

_BLANK = re.compile(r"\s")


def next_end(text: str, start: int) -> int | None:
    """Where the sentence that begins at `start` ends; None while more text could say otherwise."""
    limit = start + MAX_SENTENCE
    match = _END.search(text, start, limit + 1)
    if match is not None:
        return match.end()
    if len(text) <= limit:
        return None
    blanks = [each.end() for each in _BLANK.finditer(text, start + 1, limit)]
    return blanks[-1] if blanks else limit


def sentences(text: str) -> Iterator[tuple[int, str]]:
    """Each sentence with the place where it begins. Put end to end they are the text."""
    start = 0
    while (end := next_end(text, start)) is not None:
        yield start, text[start:end]
        start = end
    if start < len(text):
        yield start, text[start:]
