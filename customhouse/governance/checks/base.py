"""The seam that every check stands behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Protocol

from customhouse.contracts.governance import Direction, Finding, InspectionContext
from customhouse.governance.text.view import TextView, view_of

MAX_FINDINGS = 500
"""Most findings of one check in one inspection: they are recorded with the decision, some 200 bytes each."""

MAX_CANDIDATES = 20_000
"""Stretches of one text that have a form and turn out to be nothing, for one form: up to 10 µs each. A text with more
of them is made to cost."""


@dataclass(frozen=True)
class Passage:
    """One text within a request or an answer."""

    path: str
    """Such as `messages.0.content`, `messages.1.content.0.text` or `choices.0.message.content`."""
    text: str
    role: str
    is_untrusted: bool = False
    """Came from a tool or a document, whatever the message's role: its direction is TOOL_RESULT."""
    is_name: bool = False
    """The text names a field of the object at `path`. It cannot be rewritten, so what is found there has no span."""

    @cached_property
    def view(self) -> TextView:
        """The text normalized, and what is encoded in it: made once for all checks, when the first one asks."""
        return view_of(self.text)

    def direction(self, side: Direction) -> Direction:
        """On the request's side, what comes from a tool or a document is told apart from what the caller wrote."""
        return Direction.TOOL_RESULT if side is Direction.INPUT and self.is_untrusted else side


class Cost(StrEnum):
    """What a look at one prompt costs, and so where it is taken."""

    LIGHT = "light"
    """At most a few milliseconds of pure computing: on the event loop for short texts, in a thread for long ones."""
    HEAVY = "heavy"
    """More, or not ours to vouch for: always in a thread, under the policy's deadline. On the answer's side such a
    check sees whole answers, so streams are held back while it is in force."""


class Need(StrEnum):
    """What a check looks at besides the text as it came."""

    FORMS = "forms"
    """The normalized text and what is encoded in it (`Passage.view`)."""


class Check(Protocol):
    """Looks at one passage and reports. No clock, no state between calls; I/O only where `cost` is HEAVY."""

    name: str
    """Lower-case, unique among the checks of a process: policies speak of it."""
    version: str
    directions: frozenset[Direction]
    cost: Cost
    needs: frozenset[Need]
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
    """A check that must see all passages of its directions at once, such as a limit on their sum. Not for streams."""

    name: str
    version: str
    directions: frozenset[Direction]
    cost: Cost
    needs: frozenset[Need]

    def inspect_all(self, passages: Sequence[Passage], direction: Direction) -> list[Finding]: ...


@dataclass(frozen=True, slots=True)
class Glance:
    """What the first look of a tiered check came to."""

    findings: list[Finding]
    doubtful: Sequence[Passage] = ()
    """Texts that the first look is not sure of: they want the second."""
    attributes: Mapping[str, float] = field(default_factory=dict)
    """Figures for the trace, such as the probability."""


class TieredCheck(Protocol):
    """A check of requests with a quick look at everything, and a thorough one at what the quick one is not sure of.

    The thorough look is heavy; by policy it may go on while the provider is already called.
    """

    name: str
    version: str
    directions: frozenset[Direction]
    cost: Cost
    needs: frozenset[Need]

    def glance(self, passages: Sequence[Passage], context: InspectionContext) -> Glance: ...

    def study(self, doubtful: Sequence[Passage], context: InspectionContext) -> Glance:
        """As `glance`, but sure of everything."""
        ...
