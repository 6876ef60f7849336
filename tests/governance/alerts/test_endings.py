from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from customhouse.contracts.alerts import Alert, AlertKind
from customhouse.contracts.governance import CheckFailure, Direction, Finding, Severity, Span
from customhouse.contracts.invocation import Caller, InvocationStatus, RecordInput
from customhouse.governance.alerts.endings import alerts_of
from customhouse.governance.policy import DEFAULT_POLICY, CheckRule, OnFailure, Policy, Threshold
from tests.storage.ledger_cases import a_decision, an_invocation

ORGANIZATION = UUID(int=7)


def found(**changes: Any) -> Finding:
    known: dict[str, Any] = {
        "check": "abuse",
        "kind": "jailbreak",
        "severity": Severity.HIGH,
        "score": 0.9,
        "direction": Direction.INPUT,
        "span": Span(path="messages.0.content", start=0, end=2),
        "explanation": "It asks the model to drop its rules.",
    }
    return Finding(**(known | changes))


def ended(*findings: Finding, status: InvocationStatus = InvocationStatus.BLOCKED, **caller: Any) -> RecordInput:
    named = caller or {"user_id": "user-17", "agent_id": "support-bot"}
    invocation = an_invocation(ORGANIZATION, caller=Caller(organization_id=ORGANIZATION, **named))
    decision = a_decision(invocation, findings=list(findings))
    return RecordInput(invocation=invocation, decision=decision, status=status)


def only(record: RecordInput, policy: Policy = DEFAULT_POLICY) -> Alert:
    (alert,) = alerts_of(record, policy)
    return alert


def test_a_prompt_blocked_as_abuse_is_an_alert_without_its_text() -> None:
    record = ended(found(score=0.7), found(score=0.95))
    alert = only(record)
    assert (alert.kind, alert.severity, alert.subject) == (AlertKind.ABUSE, Severity.HIGH, "user:user-17")
    assert alert.title == "Blocked as jailbreak: user:user-17"
    assert alert.invocation_id == record.decision.invocation_id
    assert alert.details["score"] == 0.95
    assert "hi" not in alert.text.split()


def test_the_key_is_user_and_category() -> None:
    keys = {
        only(record).dedup_key
        for record in (
            ended(found()),
            ended(found(explanation="Another.")),
            ended(found(kind="obfuscated")),
            ended(found(), user_id="user-18"),
            ended(found(), agent_id="user-17"),
            ended(found(), key_id=UUID(int=1)),
            ended(found(), region="eu"),
        )
    }
    assert len(keys) == 6


def test_each_category_is_an_alert_of_its_own() -> None:
    alerts = alerts_of(ended(found(), found(kind="obfuscated")), DEFAULT_POLICY)
    assert [alert.details["category"] for alert in alerts] == ["jailbreak", "obfuscated"]


def test_what_a_tool_brought_in_says_so() -> None:
    alert = only(ended(found(direction=Direction.TOOL_RESULT)))
    assert alert.details["from_tool_or_document"] is True
    assert "victim" in alert.text


def test_a_block_is_never_below_medium() -> None:
    assert only(ended(found(severity=Severity.LOW))).severity is Severity.MEDIUM


@pytest.mark.parametrize(
    "record",
    [
        ended(),
        ended(found(check="secrets", kind="aws_access_key")),
        ended(found(), status=InvocationStatus.COMPLETED),
    ],
    ids=["nothing found", "a secret", "not blocked"],
)
def test_other_ends_are_none(record: RecordInput) -> None:
    assert alerts_of(record, DEFAULT_POLICY) == []


def test_what_policy_lets_pass_is_none_though_another_check_blocks() -> None:
    rule = CheckRule(thresholds={"*": Threshold(block=0.99)})
    policy = DEFAULT_POLICY.model_copy(update={"checks": {"abuse": rule}})
    record = ended(found(score=0.9), found(check="secrets", kind="aws_access_key"))
    assert alerts_of(record, policy) == []


@pytest.mark.parametrize(
    ("on_failure", "severity"), [(OnFailure.CLOSED, Severity.HIGH), (OnFailure.OPEN, Severity.MEDIUM)]
)
def test_a_check_that_could_not_look_is_one_whoever_calls(on_failure: OnFailure, severity: Severity) -> None:
    policy = DEFAULT_POLICY.model_copy(update={"checks": {"abuse": CheckRule(on_failure=on_failure)}})
    late = found(kind=CheckFailure.TIMED_OUT, span=None, explanation="It was late.")
    status = InvocationStatus.BLOCKED if on_failure is OnFailure.CLOSED else InvocationStatus.COMPLETED
    first = only(ended(late, late, status=status), policy)
    second = only(ended(late, status=status, user_id="user-18"), policy)
    assert (first.kind, first.severity, first.subject) == (AlertKind.CHECK_FAILED, severity, "check:abuse")
    assert first.dedup_key == second.dedup_key


def test_titles_and_keys_of_the_longest_names_fit() -> None:
    alert = only(ended(found(), user_id="ü" * 256))
    assert len(alert.title) <= 200
    assert len(alert.dedup_key) <= 500
