"""What checks by pattern have in common: a text is looked at as it was sent, normalized, and decoded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from customhouse.contracts.governance import Direction, Finding, Severity, Span
from customhouse.governance.checks.base import MAX_FINDINGS, Cost, Need, Passage
from customhouse.governance.checks.patterns import Match, PatternSet, encodable
from customhouse.governance.text.form import Form, How
from customhouse.governance.text.view import view_of

Sighting = tuple[str, Match | None]
"""A kind, and where in the text; None for the rest of a text that has too many candidates to look at."""


class PatternCheck(ABC):
    """Reports what has a form. One pass over a text tells whether any form occurs; the rest is for candidates.

    What is found only in another form of the text is reported for the stretch of the original that it comes from. Of
    answers only those forms are looked at that a stream can be inspected for (`TextView.local_forms`).
    """

    name: str
    version: str
    window: int
    severity: Severity
    unread: frozenset[How] = frozenset()
    """Forms that are not looked at: by chance they have what is looked for."""
    directions = frozenset(Direction)
    cost = Cost.LIGHT
    needs = frozenset({Need.FORMS})

    def __init__(self, patterns: Sequence[str], kinds: Sequence[str]) -> None:
        """A kind for each pattern; several may have the same."""
        self._patterns = PatternSet(patterns)
        self._kinds = tuple(kinds)

    @abstractmethod
    def _matches(self, index: int, text: str, *, is_form: bool) -> Iterator[Match | None]:
        """Every match of one pattern from left to right; None, once and last, where there is too much to look at."""

    @abstractmethod
    def _says(self, kind: str) -> str:
        """What a match means, as the end of a sentence: `an e-mail address`."""

    @abstractmethod
    def _most_misses(self, kind: str) -> int:
        """How many candidates that are nothing are looked at."""

    def may_find(self, text: str) -> bool:
        view = view_of(text)
        return not view.is_whole or any(
            self._hits(each) for each in (view.text, view.normalized, *(form.text for form in self._read(view.forms)))
        )

    def inspect(self, passage: Passage, direction: Direction) -> list[Finding]:
        view = passage.view
        is_output = direction.side is Direction.OUTPUT
        findings: list[Finding] = []
        known = _Known()
        for kind, found in self._sightings(view.text, is_form=False):
            known.add(kind, found)
            findings.append(self._finding(kind, passage.path, direction, found, ()))
        known.close()
        others = view.local_forms if is_output else view.forms
        for form in (view.plain, *self._read(others)):
            if form.text != view.text:
                findings += islice(self._hidden(form, known, passage.path, direction), MAX_FINDINGS + 1)
        if not (view.is_locally_whole if is_output else view.is_whole):
            findings.append(self._unread_rest(direction))
        return findings

    def _read(self, forms: Iterable[Form]) -> Iterator[Form]:
        return (form for form in forms if not self.unread.intersection(form.path))

    def _hits(self, text: str) -> bool:
        return any(True for _ in self._patterns.hits(encodable(text)))

    def _sightings(self, text: str, *, is_form: bool) -> Iterator[Sighting]:
        text = encodable(text)
        for index in self._patterns.hits(text):
            for found in islice(self._matches(index, text, is_form=is_form), MAX_FINDINGS + 1):
                yield self._kinds[index], found

    def _hidden(self, form: Form, known: _Known, path: str, direction: Direction) -> Iterator[Finding]:
        """What is found in a form, and was not before."""
        for kind, found in self._sightings(form.text, is_form=True):
            span = None
            if found is not None:
                start, end = form.span(*found)
                span = start, max(end, start + 1)
            if known.learn(kind, span):
                yield self._finding(kind, path, direction, span, form.path or (How.NORMALIZED,))

    def _finding(self, kind: str, path: str, direction: Direction, found: Match | None, how: Sequence[How]) -> Finding:
        reading = f"Read as {', '.join(how).replace('_', ' ')}, the text" if how else "The text"
        return Finding(
            check=self.name,
            kind=kind if found else "too_many",
            severity=self.severity,
            direction=direction,
            span=Span(path=path, start=found[0], end=found[1]) if found else None,
            explanation=f"{reading} has the form of {self._says(kind)}."
            if found
            else f"{reading} has more than {self._most_misses(kind)} stretches that only look like {self._says(kind)}.",
        )

    def _unread_rest(self, direction: Direction) -> Finding:
        return Finding(
            check=self.name,
            kind="too_many",
            severity=self.severity,
            direction=direction,
            explanation="More is encoded in the text, in layers, than is decoded; send it in plain.",
        )


class _Known:
    """Where each kind has been found, so that no stretch is reported twice."""

    def __init__(self) -> None:
        self._plain: dict[str, list[Match]] = {}
        self._seen: set[tuple[str, Match | None]] = set()

    def add(self, kind: str, found: Match | None) -> None:
        """Found in the text as it was sent."""
        if found is not None:
            self._plain.setdefault(kind, []).append(found)

    def close(self) -> None:
        """All that stands in the text as it was sent has been added."""
        for spans in self._plain.values():
            spans.sort()

    def learn(self, kind: str, found: Match | None) -> bool:
        """False where the stretch, or one that holds it, is known."""
        if (kind, found) in self._seen or (found is not None and self._is_within(kind, found)):
            return False
        self._seen.add((kind, found))
        return True

    def _is_within(self, kind: str, found: Match) -> bool:
        spans = self._plain.get(kind, [])
        position = bisect_right(spans, (found[0], found[1]))
        nearest = [*spans[max(position - 1, 0) : position + 1]]
        return any(start <= found[0] and found[1] <= end for start, end in nearest)
