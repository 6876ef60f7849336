"""The seam that every check stands behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from customhouse.contracts.governance import Direction, Finding


@dataclass(frozen=True, slots=True)
class Passage:
    """One text within a request or an answer."""

    path: str
    """Such as `messages.0.content`, `messages.1.content.0.text` or `choices.0.message.content`."""
    text: str
    role: str


class Check(Protocol):
    """Looks at one passage and reports. Pure: no I/O, no clock, no state between calls."""

    name: str
    version: str
    directions: frozenset[Direction]
    window: int
    """Characters: no finding of this check is longer, except inside one unbroken run of non-space characters. A stream
    holds this much text back."""

    def inspect(self, passage: Passage, direction: Direction) -> list[Finding]: ...
