from __future__ import annotations

import pytest
from pydantic import ValidationError

from customhouse.contracts.governance import Direction, Finding, Severity, Span, Verdict
from customhouse.governance.policy import DEFAULT_POLICY, Limits, Policy, builtin_policy
from customhouse.governance.verdict import blocked, decide, to_redact


def finding(check: str, kind: str = "k", direction: Direction = Direction.INPUT, *, span: bool = True) -> Finding:
    return Finding(
        check=check,
        kind=kind,
        severity=Severity.HIGH,
        direction=direction,
        span=Span(path="messages.0.content", start=0, end=3) if span else None,
        explanation="The text has the form of something.",
    )


def test_the_severest_wins() -> None:
    assert decide([], DEFAULT_POLICY, Direction.INPUT) is Verdict.ALLOW
    assert decide([finding("pii")], DEFAULT_POLICY, Direction.INPUT) is Verdict.REDACT
    assert decide([finding("pii"), finding("secrets")], DEFAULT_POLICY, Direction.INPUT) is Verdict.BLOCK


def test_only_findings_of_the_direction_count() -> None:
    assert decide([finding("secrets", direction=Direction.OUTPUT)], DEFAULT_POLICY, Direction.INPUT) is Verdict.ALLOW


def test_a_kind_beats_its_check() -> None:
    policy = Policy(version="v", actions={Direction.INPUT: {"pii": Verdict.BLOCK, "pii.email": Verdict.ALLOW}})
    assert decide([finding("pii", "email")], policy, Direction.INPUT) is Verdict.ALLOW
    assert decide([finding("pii", "iban")], policy, Direction.INPUT) is Verdict.BLOCK


def test_a_check_that_the_policy_does_not_name_is_not_ignored() -> None:
    assert decide([finding("newcomer")], DEFAULT_POLICY, Direction.INPUT) is Verdict.BLOCK


def test_what_cannot_be_cut_out_is_blocked() -> None:
    assert decide([finding("pii", span=False)], DEFAULT_POLICY, Direction.INPUT) is Verdict.BLOCK
    assert to_redact([finding("pii", span=False), finding("pii")], DEFAULT_POLICY, Direction.INPUT) == [finding("pii")]


def test_the_error_names_what_and_where() -> None:
    error = blocked([finding("secrets", "jwt"), finding("pii")], DEFAULT_POLICY, Direction.INPUT)
    assert "secrets.jwt at messages.0.content" in error.message
    assert "builtin-1" in error.message
    assert "pii" not in error.message
    many = blocked([finding("secrets", f"k{n}") for n in range(9)], DEFAULT_POLICY, Direction.INPUT)
    assert "and 4 more" in many.message


def test_settings_show_in_the_version() -> None:
    assert builtin_policy().version == DEFAULT_POLICY.version == "builtin-1"
    changed = builtin_policy(pii=Verdict.ALLOW, limits=Limits(max_prompt_chars=9))
    assert changed.version == "builtin-1+pii-allow+chars-9"


def test_a_policy_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        DEFAULT_POLICY.version = "x"  # type: ignore[misc]
