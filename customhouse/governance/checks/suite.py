"""All checks of a process, and how one of them is run. Pure: times and deadlines are had around `run`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeGuard, cast

from customhouse.contracts.governance import CheckFailure, Direction, Finding, InspectionContext, Severity
from customhouse.governance.checks.base import MAX_FINDINGS, Check, Cost, Glance, Passage, TieredCheck, WholeCheck

AnyCheck = Check | WholeCheck | TieredCheck

MANY = 8
"""Texts of one request: a tool with its parameters has more."""

_NO_CONTEXT = InspectionContext()


def is_tiered(check: AnyCheck) -> TypeGuard[TieredCheck]:
    return hasattr(check, "study")


def run(
    check: AnyCheck, passages: Sequence[Passage], side: Direction, context: InspectionContext = _NO_CONTEXT
) -> Glance:
    """One check over all passages of a side that it is for; of a tiered check, its first look.

    Never raises: what a check fails with is a finding, for the policy says what that means.
    """
    try:
        if hasattr(check, "inspect_all"):
            return Glance(check.inspect_all(passages, side))
        if is_tiered(check):
            return check.glance(passages, context)
        return Glance(_one_by_one(cast(Check, check), passages, side))
    except Exception as error:  # noqa: BLE001 - a company's own check may raise anything, and none may take a call down
        return Glance([failure(check.name, side, error)])


def _one_by_one(check: Check, passages: Sequence[Passage], side: Direction) -> list[Finding]:
    found: list[Finding] = []
    # Nearly all requests are clean: one look at all texts together spares one look at each.
    if len(passages) >= MANY and hasattr(check, "may_find") and not check.may_find(_joined(passages)):
        return found
    for passage in passages:
        direction = passage.direction(side)
        if passage.text and direction in check.directions:
            seen = check.inspect(passage, direction)
            found.extend(map(_unplaced, seen) if passage.is_name else seen)
    if len(found) > MAX_FINDINGS:
        found[MAX_FINDINGS:] = [_too_many(check.name, side)]
    return found


class CheckSuite:
    """The checks of a process, built once at start."""

    def __init__(self, checks: Iterable[AnyCheck]) -> None:
        self._checks = tuple(checks)

    def __iter__(self) -> Iterator[AnyCheck]:
        return iter(self._checks)

    def checks(self, side: Direction) -> tuple[AnyCheck, ...]:
        """The checks for one side, for callers that time or trace each by itself with `run`."""
        return tuple(check for check in self._checks if any(each.side is side for each in check.directions))

    def light(self, side: Direction) -> tuple[AnyCheck, ...]:
        return tuple(check for check in self.checks(side) if check.cost is Cost.LIGHT)

    def heavy(self, side: Direction) -> tuple[AnyCheck, ...]:
        return tuple(check for check in self.checks(side) if check.cost is Cost.HEAVY)

    def inspect(self, passages: Sequence[Passage], side: Direction) -> list[Finding]:
        """The findings of all light checks of this side."""
        return [finding for check in self.light(side) for finding in run(check, passages, side).findings]

    def window(self, side: Direction) -> int:
        """Characters of a stream that must be held back: the largest window of the checks on passages. A heavy check
        wants the whole.
        """
        if self.heavy(side):
            return sys.maxsize
        return max((check.window for check in self.light(side) if hasattr(check, "window")), default=0)


def failure(check: str, side: Direction, error: BaseException) -> Finding:
    """A check that raised, or was late. The error's own words may hold the text, so only its name is told."""
    is_late = isinstance(error, TimeoutError)
    what = "did not finish within its deadline" if is_late else f"failed ({type(error).__name__})"
    return Finding(
        check=check,
        kind=CheckFailure.TIMED_OUT if is_late else CheckFailure.FAILED,
        severity=Severity.HIGH,
        direction=side,
        explanation=f"The check {check} {what}, so it has not looked.",
    )


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
