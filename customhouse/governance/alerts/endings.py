"""Which ends of invocations are alerts: prompts blocked as abuse, and checks that could not look."""

from __future__ import annotations

from collections.abc import Sequence

from customhouse.contracts.alerts import Alert, AlertKind
from customhouse.contracts.governance import Direction, Finding, Severity, Verdict
from customhouse.contracts.invocation import Caller, InvocationStatus, RecordInput
from customhouse.governance.alerts.keys import dedup_key, subject
from customhouse.governance.alerts.severity import at_least, severest
from customhouse.governance.policy import Policy
from customhouse.governance.verdict import action_for

ABUSE_CHECK = "abuse"
"""Name of the check whose blocks are alerts."""

_STOPPING = frozenset({Verdict.REVIEW, Verdict.BLOCK})


def alerts_of(record: RecordInput, policy: Policy) -> list[Alert]:
    """What the end of one invocation is to be told of; nothing, for nearly all of them."""
    findings = [*record.decision.findings, *(record.outcome.findings if record.outcome is not None else ())]
    if not findings:
        return []
    failures = {finding.check: finding for finding in findings if finding.is_failure}
    alerts = [_check_failed(record, finding, policy) for finding in failures.values()]
    if record.status is InvocationStatus.BLOCKED:
        alerts += [_abuse(record, category, found) for category, found in _blocking(findings, policy).items()]
    return alerts


def _blocking(findings: Sequence[Finding], policy: Policy) -> dict[str, list[Finding]]:
    """What the abuse check had this invocation blocked for, by category."""
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.check == ABUSE_CHECK and not finding.is_failure and action_for(finding, policy) in _STOPPING:
            found.setdefault(finding.kind, []).append(finding)
    return found


def _check_failed(record: RecordInput, finding: Finding, policy: Policy) -> Alert:
    """One for each check, whoever called: the check is at fault, or the machine."""
    action = action_for(finding, policy)
    stops = action in _STOPPING
    return Alert(
        organization_id=record.invocation.caller.organization_id,
        kind=AlertKind.CHECK_FAILED,
        severity=Severity.HIGH if stops else Severity.MEDIUM,
        title=f"The check {finding.check} could not look ({finding.kind})"[:200],
        text=f"{finding.explanation} By policy {record.decision.policy_version} that means: {action}. "
        + ("Calls are refused for it. " if stops else "Texts pass unseen by it. ")
        + "Look at the worker's log and at its load; `on_failure` and `deadline_ms` in the policy say what happens.",
        subject=subject("check", finding.check),
        dedup_key=dedup_key("check_failed", finding.check, finding.kind),
        invocation_id=record.decision.invocation_id,
        details={"check": finding.check, "kind": finding.kind, "action": action.value},
    )


def _abuse(record: RecordInput, category: str, findings: Sequence[Finding]) -> Alert:
    caller = record.invocation.caller
    who = _who(caller)
    worst = max(findings, key=lambda finding: finding.score)
    from_elsewhere = any(finding.direction is Direction.TOOL_RESULT for finding in findings)
    return Alert(
        organization_id=caller.organization_id,
        kind=AlertKind.ABUSE,
        severity=_severity(findings),
        title=f"Blocked as {category.replace('_', ' ')}: {_shown(who)}"[:200],
        text=_text(worst, from_elsewhere=from_elsewhere),
        subject=who,
        dedup_key=dedup_key("abuse", who, category),
        invocation_id=record.decision.invocation_id,
        details={
            "category": category,
            "score": worst.score,
            "policy": record.decision.policy_version,
            "agent_id": caller.agent_id,
            "user_id": caller.user_id,
            "key_id": None if caller.key_id is None else str(caller.key_id),
            "from_tool_or_document": from_elsewhere,
        },
    )


def _who(caller: Caller) -> str | None:
    if caller.user_id is not None:
        return subject("user", caller.user_id)
    if caller.agent_id is not None:
        return subject("agent", caller.agent_id)
    return None if caller.key_id is None else subject("key", caller.key_id)


def _shown(who: str | None) -> str:
    return "nobody named" if who is None else who


def _severity(findings: Sequence[Finding]) -> Severity:
    """As the findings are, but never so low that by default a block is not sent."""
    worst = severest(finding.severity for finding in findings)
    return worst if at_least(worst, Severity.MEDIUM) else Severity.MEDIUM


def _text(worst: Finding, *, from_elsewhere: bool) -> str:
    source = "It came from a tool or a document, so the user may be its victim. " if from_elsewhere else ""
    return (
        f"{worst.explanation} {source}The caller got no answer. Read the invocation: if it was harmless, mark its "
        "finding wrong (POST /api/v1/feedback); if it goes on, block the user's key or address."
    )
