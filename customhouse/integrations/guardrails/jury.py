"""Has texts judged by the rules that are for them, and says what was found and what was not looked at."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from customhouse.contracts.governance import Direction, Finding
from customhouse.governance.checks.patterns import encodable
from customhouse.governance.validator_findings import findings_of, unlooked
from customhouse.governance.validators import GuardrailsSettings
from customhouse.integrations.guardrails.pool import Judgement, Pool, Trouble
from customhouse.integrations.guardrails.set_aside import HANGS, SetAside


@dataclass(frozen=True, slots=True)
class Piece:
    """A text, or a part of one."""

    text: str
    offset: int = 0
    """Where it begins in the text that spans count in."""


Jobs = Sequence[tuple[int, Sequence[int]]]
"""Rules, by index, and the pieces that each is for."""


class Jury:
    """Threads may share it."""

    def __init__(self, settings: GuardrailsSettings, pool: Pool, clock: Callable[[], float] = time.monotonic) -> None:
        self._rules = settings.rules
        self._deadline_ms = settings.deadline_ms
        self._pool = pool
        self._set_aside = SetAside(clock)

    def judge(self, path: str, direction: Direction, pieces: Sequence[Piece], jobs: Jobs) -> list[Finding]:
        """Findings in the order of rules, then of pieces; after them one for each rule that has not looked."""
        aside = [rule for rule, _ in jobs if self._set_aside.has(rule)]
        asked = [(rule, chosen) for rule, chosen in jobs if rule not in aside and chosen]
        found = [
            unlooked(self._rules[rule], direction, late=True, why=f"has hung {HANGS} times in a row and is set aside")
            for rule in aside
        ]
        if not asked:
            return found
        judgement = self._pool.judge([encodable(piece.text) for piece in pieces], asked, self._deadline_ms / 1000)
        self._remember(judgement, asked)
        failed = [
            finding
            for rule, piece, how in sorted(judgement.failed, key=lambda each: each[:2])
            for finding in findings_of(
                self._rules[rule], how, pieces[piece].text, path, direction, offset=pieces[piece].offset
            )
        ]
        return [*failed, *found, *self._unlooked(judgement, asked, direction)]

    def _unlooked(self, judgement: Judgement, asked: Jobs, direction: Direction) -> Iterator[Finding]:
        raised = {rule: name for rule, _, name in reversed(judgement.broken)}
        for rule, name in raised.items():
            yield unlooked(self._rules[rule], direction, late=False, why=f"failed ({name})")
        if judgement.trouble is None:
            return
        limit = f"{self._deadline_ms:.0f} ms"
        why_this, is_late = {
            Trouble.HUNG: (f"did not finish within {limit}", True),
            Trouble.BUSY: (f"had no free process within {limit}", True),
            Trouble.DIED: ("brought its process down", False),
            Trouble.DOWN: ("is being loaded again", False),
        }[judgement.trouble]
        for rule in _from(judgement.at, asked):
            is_it = judgement.at is None or rule == judgement.at
            why = why_this if is_it else "was not reached, for one before it took its time or its process"
            yield unlooked(self._rules[rule], direction, late=is_late, why=why)

    def _remember(self, judgement: Judgement, asked: Jobs) -> None:
        left = set(_from(judgement.at, asked)) if judgement.trouble is not None else set()
        for rule, _ in asked:
            if rule not in left:
                self._set_aside.answered(rule)
        if judgement.trouble in (Trouble.HUNG, Trouble.DIED) and judgement.at is not None:
            self._set_aside.hung(judgement.at)


def _from(at: int | None, asked: Jobs) -> list[int]:
    """The rules that have not looked: that one and those after it, or all."""
    rules = [rule for rule, _ in asked]
    return rules[rules.index(at) :] if at in rules else rules
