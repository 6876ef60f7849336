"""All checks of one direction, run together. Pure: whoever wants times measures around `run`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from customhouse.contracts.governance import Direction, Finding, Severity
from customhouse.governance.checks.base import MAX_FINDINGS, Check, Passage, WholeCheck

AnyCheck = Check | WholeCheck

MANY = 8
"""Texts of one request: a tool with its parameters has more."""


def run(check: AnyCheck, passages: Sequence[Passage], direction: Direction) -> list[Finding]:
    """One check over all passages."""
    if hasattr(check, "inspect_all"):
        return check.inspect_all(passages, direction)
    found: list[Finding] = []
    # Nearly all requests are clean: one look at all texts together spares one look at each.
    if len(passages) >= MANY and hasattr(check, "may_find") and not check.may_find(_joined(passages)):
        return found
    for passage in passages:
        if passage.text:
            seen = check.inspect(passage, direction)
            found.extend(map(_unplaced, seen) if passage.is_name else seen)
    if len(found) > MAX_FINDINGS:
        found[MAX_FINDINGS:] = [_too_many(check.name, direction)]
    return found


class CheckSuite:
    """The checks of a process, built once at start."""

    def __init__(self, checks: Iterable[AnyCheck]) -> None:
        checks = tuple(checks)
        self._checks = {
            direction: tuple(check for check in checks if direction in check.directions) for direction in Direction
        }

    def checks(self, direction: Direction) -> tuple[AnyCheck, ...]:
        """The checks of one direction, for callers that time or trace each by itself with `run`."""
        return self._checks[direction]

    def inspect(self, passages: Sequence[Passage], direction: Direction) -> list[Finding]:
        """The findings of all checks of this direction."""
        return [finding for check in self._checks[direction] for finding in run(check, passages, direction)]

    def window(self, direction: Direction) -> int:
        """Characters of a stream that must be held back: the largest window of the checks on passages."""
        return max((check.window for check in self._checks[direction] if not hasattr(check, "inspect_all")), default=0)


def _joined(passages: Sequence[Passage]) -> str:
    return "\n".join([passage.text for passage in passages])


def _unplaced(finding: Finding) -> Finding:
    """Without a span, so that a policy that would redact blocks: the name of a field cannot be replaced."""
    return finding.model_copy(update={"span": None, "explanation": f"In the name of a field: {finding.explanation}"})


def _too_many(check: str, direction: Direction) -> Finding:
    """Without a span, so that a policy that would redact blocks: what was not listed could not be cut out."""
    return Finding(
        check=check,
        kind="too_many",
        severity=Severity.HIGH,
        direction=direction,
        explanation=f"There are more than {MAX_FINDINGS} findings; only the first {MAX_FINDINGS} are listed.",
    )
