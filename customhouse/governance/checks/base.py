"""The seam that every check stands behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from customhouse.contracts.governance import Direction, Finding

MAX_FINDINGS = 500
"""Most findings of one check in one inspection: they are recorded with the decision, some 200 bytes each."""

MAX_CANDIDATES = 20_000
"""Stretches of one text that have a form and turn out to be nothing, for one form: up to 10 µs each. A text with more
of them is made to cost."""


@dataclass(frozen=True, slots=True)
class Passage:
    """One text within a request or an answer."""

    path: str
    """Such as `messages.0.content`, `messages.1.content.0.text` or `choices.0.message.content`."""
    text: str
    role: str
    is_name: bool = False
    """The text names a field of the object at `path`. It cannot be rewritten, so what is found there has no span."""


class Check(Protocol):
    """Looks at one passage and reports. Pure: no I/O, no clock, no state between calls."""

    name: str
    version: str
    directions: frozenset[Direction]
    window: int
    """Characters: no finding of this check is longer, except inside one unbroken run of non-space characters. A stream
    holds this much text back. White space is ASCII's, and a CJK character or emoji (U+2E80 and above) breaks a run too.
    A finding must depend on no more than the character before it (or the run it begins in) and `window` characters from
    its start. One that may be longer (a private key) reaches to the end of the text until its own end is seen."""

    def inspect(self, passage: Passage, direction: Direction) -> list[Finding]: ...


class QuickCheck(Check, Protocol):
    """A check that can tell cheaply that it will find nothing."""

    def may_find(self, text: str) -> bool:
        """False only where no line of the text holds anything, nor several lines together."""
        ...


class WholeCheck(Protocol):
    """A check that must see all passages at once, such as a limit on their sum. Not for streams."""

    name: str
    version: str
    directions: frozenset[Direction]

    def inspect_all(self, passages: Sequence[Passage], direction: Direction) -> list[Finding]: ...
