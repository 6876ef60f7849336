"""Curated shapes of abuse. Each says what it is, where it comes from, one text it finds and a like text it leaves.

They are evidence, not verdicts: the model weighs each of them with everything else it sees, so that a quoted attack
or a lesson about one is not condemned for its words.
"""

from __future__ import annotations

from collections.abc import Sequence

from customhouse.governance.abuse.injection_patterns import INJECTION
from customhouse.governance.abuse.language_patterns import LANGUAGES
from customhouse.governance.abuse.lifting_patterns import LIFTING
from customhouse.governance.abuse.pattern import CATEGORIES, AbusePattern, Category
from customhouse.governance.checks.patterns import Match, PatternSet, encodable

__all__ = ["CATEGORIES", "PATTERNS", "AbusePattern", "AbusePatterns", "Category"]

PATTERNS: tuple[AbusePattern, ...] = (*INJECTION, *LIFTING, *LANGUAGES)
"""The model's weights are in this order: a pattern that is added, moved or dropped needs the model made anew."""


class AbusePatterns:
    """The patterns, compiled once for all texts."""

    def __init__(self, patterns: Sequence[AbusePattern] = PATTERNS) -> None:
        self.patterns = tuple(patterns)
        self._set = PatternSet([each.regex for each in patterns])

    def hits(self, text: str) -> list[int]:
        """Indexes of the patterns that match somewhere in the text."""
        return list(self._set.hits(encodable(text)))

    def first_span(self, index: int, text: str) -> Match | None:
        """Where pattern `index` matches first: start and end (exclusive), in characters."""
        return next(self._set.matches(index, encodable(text)), None)
