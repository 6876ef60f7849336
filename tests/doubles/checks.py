"""Checks that do as a test tells them, and a way to put them in force in a running process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from activities.inspection import Inspector
from customhouse.contracts.governance import Direction, Finding, InspectionContext, Severity, Span
from customhouse.governance.checks.base import Cost, Glance, Need, Passage
from customhouse.governance.checks.suite import AnyCheck, CheckSuite
from customhouse.governance.policy import CheckRule, Policy
from tests.doubles.house import House

ALL = frozenset(Direction)


def finding(check: str, passage: Passage, direction: Direction, *, score: float = 1.0, kind: str = "word") -> Finding:
    return Finding(
        check=check,
        kind=kind,
        severity=Severity.HIGH,
        score=score,
        direction=direction,
        span=Span(path=passage.path, start=0, end=len(passage.text)),
        explanation="The text holds the word.",
        may_be_kept=True,
    )


class WordCheck:
    """Finds a word; may hang or raise first."""

    version = "1"
    needs: frozenset[Need] = frozenset()
    window = 32

    def __init__(
        self,
        name: str,
        *,
        word: str = "offence",
        cost: Cost = Cost.LIGHT,
        directions: frozenset[Direction] = ALL,
        first: Callable[[], object] = lambda: None,
    ) -> None:
        self.name = name
        self.cost = cost
        self.directions = directions
        self._word = word
        self._first = first
        self.seen: list[tuple[str, Direction]] = []

    def inspect(self, passage: Passage, direction: Direction) -> list[Finding]:
        self.seen.append((passage.text, direction))
        self._first()
        return [finding(self.name, passage, direction)] if self._word in passage.text else []


class DoubtingCheck:
    """Never sure at first; the thorough look waits until `may_look` is set."""

    name = "doubting"
    version = "1"
    cost = Cost.LIGHT
    needs: frozenset[Need] = frozenset()
    directions = frozenset({Direction.INPUT, Direction.TOOL_RESULT})

    def __init__(self, word: str = "offence") -> None:
        self._word = word
        self.may_look = threading.Event()
        self.may_look.set()
        self.contexts: list[InspectionContext] = []

    def glance(self, passages: Sequence[Passage], context: InspectionContext) -> Glance:
        self.contexts.append(context)
        return Glance([], doubtful=passages, attributes={"probability": 0.5})

    def study(self, doubtful: Sequence[Passage], context: InspectionContext) -> Glance:
        assert self.may_look.wait(30)
        self.contexts.append(context)
        found = [
            finding(self.name, p, p.direction(Direction.INPUT), score=0.9) for p in doubtful if self._word in p.text
        ]
        return Glance(found, attributes={"probability": 0.9})


@contextmanager
def in_force(house: House, *checks: AnyCheck, **rules: CheckRule) -> Iterator[Policy]:
    """The process inspects with these checks besides its own. What they find blocks, unless a rule says otherwise."""
    inspector: Inspector = house.parts.inspector
    suite, policy = inspector.suite, inspector.policy
    changed = policy.model_copy(update={"checks": {**policy.checks, **rules}})
    object.__setattr__(inspector, "suite", CheckSuite([*suite, *checks]))
    object.__setattr__(inspector, "policy", changed)
    try:
        yield changed
    finally:
        object.__setattr__(inspector, "suite", suite)
        object.__setattr__(inspector, "policy", policy)
