"""What a validator's verdict on a text is as findings: where the text offends, or that nobody has looked."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from customhouse.contracts.governance import CheckFailure, Direction, Finding, Severity, Span
from customhouse.governance.validators import CHECK, OnFail, ValidatorRule

MAX_SPANS = 50
"""Places listed for one failure. With more of them none is listed, so that a policy that would redact blocks."""

LONGEST_WORD = 100
"""Characters by which a place is widened at most, to each side."""


class Failed(BaseModel):
    """A text that a rule's validator does not pass. Places are counted in that text."""

    model_config = ConfigDict(frozen=True)

    spans: list[tuple[int, int]] = []
    """Start and end (exclusive) of what offends, where the validator says so."""
    changed: tuple[int, int] | None = None
    """The stretch that the validator's own correction would change, where it has one."""


def findings_of(
    rule: ValidatorRule, failed: Failed, text: str, path: str, direction: Direction, *, offset: int = 0
) -> list[Finding]:
    """One finding for each place, or one for the text as a whole.

    `text` is what was judged. It begins at character `offset` of the text at `path`, which the spans count in.
    """
    spans: list[Span | None] = [
        Span(path=path, start=start + offset, end=end + offset) for start, end in _places(rule, failed, text)
    ]
    return [
        Finding(
            check=CHECK,
            kind=rule.name,
            severity=rule.severity,
            direction=direction,
            span=span,
            explanation=f"The text does not pass the validator {rule.title}.",
        )
        for span in spans or [None]
    ]


def unlooked(rule: ValidatorRule, direction: Direction, *, late: bool, why: str) -> Finding:
    """A finding that says that this rule has not looked. What that means is the policy's `on_failure` of the check."""
    return Finding(
        check=CHECK,
        kind=CheckFailure.TIMED_OUT if late else CheckFailure.FAILED,
        severity=Severity.HIGH,
        direction=direction,
        explanation=f"The validator {rule.title} {why}, so it has not looked.",
    )


def _places(rule: ValidatorRule, failed: Failed, text: str) -> list[tuple[int, int]]:
    if rule.on_fail is OnFail.FILTER:
        return [(0, len(text))]
    spans = failed.spans
    if not spans and rule.on_fail is OnFail.FIX and failed.changed is not None:
        spans = [failed.changed]
    found = {_whole_words(text, start, min(end, len(text))) for start, end in spans if 0 <= start < min(end, len(text))}
    return sorted(found) if len(found) <= MAX_SPANS else []


def _whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    """Widened to the blanks around: half a word tells the rest, and some validators count from a character too late."""
    first, last = max(start - LONGEST_WORD, 0), min(end + LONGEST_WORD, len(text))
    while start > first and not text[start - 1].isspace() and not text[start].isspace():
        start -= 1
    while end < last and not text[end].isspace() and not text[end - 1].isspace():
        end += 1
    return start, end
