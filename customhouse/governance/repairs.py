"""When a model is asked again: its answer misses a form or a rule that it can be told of, and nothing else is wrong."""

from __future__ import annotations

from collections.abc import Sequence

from customhouse.contracts.governance import Finding
from customhouse.governance import answer_schema
from customhouse.governance.validators import GuardrailsSettings


def complaint_about(findings: Sequence[Finding], rules: GuardrailsSettings | None) -> str | None:
    """What to tell the model; None where asking again would not help."""
    schema = [finding for finding in findings if finding.check == answer_schema.CHECK]
    others = [finding for finding in findings if finding.check != answer_schema.CHECK]
    if not findings or (others and (rules is None or not rules.asks_again(others))):
        return None
    parts = [answer_schema.complaint_of(schema)] if schema else []
    if others and rules is not None:
        parts.append(rules.complaint_of(others))
    return "\n\n".join(parts)
