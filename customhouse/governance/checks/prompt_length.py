"""Refuses prompts over a configured length, before they cost anything."""

from __future__ import annotations

from collections.abc import Sequence

from customhouse.contracts.governance import Direction, Finding, Severity
from customhouse.governance.checks.base import Cost, Need, Passage
from customhouse.governance.policy import Limits
from customhouse.governance.tokens import estimate_tokens


class PromptLengthCheck:
    """Counts all passages of a request together."""

    name = "prompt_length"
    version = "1"
    directions = frozenset({Direction.INPUT})
    cost = Cost.LIGHT
    needs: frozenset[Need] = frozenset()

    def __init__(self, limits: Limits) -> None:
        self._max_chars = limits.max_prompt_chars
        self._max_tokens = limits.max_prompt_tokens

    def inspect_all(self, passages: Sequence[Passage], direction: Direction) -> list[Finding]:
        chars = sum(len(passage.text) for passage in passages)
        if chars > self._max_chars:
            return [self._finding("characters", direction, f"{chars} characters", self._max_chars)]
        # Few characters cannot be many tokens: a character is at most 4 bytes, and 3 bytes count one token.
        if self._max_tokens is not None and 2 * chars > self._max_tokens:
            tokens = sum(estimate_tokens(passage.text) for passage in passages)
            if tokens > self._max_tokens:
                return [self._finding("tokens", direction, f"about {tokens} tokens", self._max_tokens)]
        return []

    @staticmethod
    def _finding(kind: str, direction: Direction, length: str, limit: int) -> Finding:
        return Finding(
            check="prompt_length",
            kind=kind,
            severity=Severity.HIGH,
            direction=direction,
            explanation=f"The prompt has {length}, and the limit is {limit}; shorten it.",
        )
