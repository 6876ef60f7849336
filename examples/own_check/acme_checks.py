"""A check of one's own: names of projects that are not public yet must neither be asked about nor told."""

from __future__ import annotations

import re

from customhouse.contracts.governance import Direction, Finding, Severity, Span
from customhouse.governance.checks.base import Cost, Need, Passage

SECRET_PROJECTS = re.compile(r"\bproject (?:bluebird|halibut)\b", re.IGNORECASE)


class ProjectNamesCheck:
    """Customhouse makes one when it starts, and asks it about each text."""

    name = "project_names"
    version = "1"
    directions = frozenset({Direction.INPUT, Direction.TOOL_RESULT, Direction.OUTPUT})
    cost = Cost.LIGHT
    needs: frozenset[Need] = frozenset()
    window = len("project bluebird")

    def inspect(self, passage: Passage, direction: Direction) -> list[Finding]:
        return [
            Finding(
                check=self.name,
                kind="unreleased",
                severity=Severity.HIGH,
                direction=direction,
                span=Span(path=passage.path, start=match.start(), end=match.end()),
                explanation="The text names a project that is not public.",
            )
            for match in SECRET_PROJECTS.finditer(passage.text)
        ]
