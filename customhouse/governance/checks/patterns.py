"""Many patterns over one text: a single linear pass tells which can match at all, and only those are run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import re2

Match = tuple[int, int]
"""Start and end (exclusive) in characters."""


_MAX_MEMORY = 32 << 20
"""Bytes that the states of one set may take. With RE2's 8 MiB a hostile text of 64 KB
overflows them and takes ten times as long; more would only move that to longer texts."""


def encodable(text: str) -> str:
    """The text, with lone surrogates (which UTF-8 cannot carry) as `?`: of the same length, so that spans hold."""
    if text.isascii():
        return text
    return text.encode("utf-8", "replace").decode("utf-8")


class PatternSet:
    """Patterns compiled once. RE2 refuses back-references and look-arounds: what remains cannot be made to blow up."""

    def __init__(self, patterns: Sequence[str]) -> None:
        options = re2.Options()
        options.log_errors = False
        options.max_mem = _MAX_MEMORY
        self._set = re2.Set.SearchSet(options)
        self._patterns: list[Any] = []
        for source in patterns:
            self._set.Add(source)
            self._patterns.append(re2.compile(source, options))
        self._set.Compile()

    def hits(self, text: str) -> Iterable[int]:
        """Indexes of the patterns that match somewhere in the text, found in one pass."""
        return sorted(self._set.Match(text) or ())

    def matches(self, index: int, text: str) -> Iterator[Match]:
        """Every match of one pattern, from left to right and without overlap."""
        return (match.span() for match in self._patterns[index].finditer(text))
