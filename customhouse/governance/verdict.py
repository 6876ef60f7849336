"""From findings to a verdict: the severest action wins."""

from __future__ import annotations

from collections.abc import Iterable

from customhouse.contracts.errors import BlockedByPolicy
from customhouse.contracts.governance import Direction, Finding, Verdict
from customhouse.governance.policy import Policy


def action_for(finding: Finding, policy: Policy) -> Verdict:
    """The policy's action; `redact` becomes `block` where the finding has no span, for then nothing can be cut out."""
    action = policy.action(finding)
    return Verdict.BLOCK if action is Verdict.REDACT and finding.span is None else action


def decide(findings: Iterable[Finding], policy: Policy, direction: Direction) -> Verdict:
    """The verdict on a request (`input`) or an answer (`output`)."""
    return max(
        (action_for(finding, policy) for finding in findings if finding.direction.side is direction),
        key=lambda verdict: verdict.severity,
        default=Verdict.ALLOW,
    )


def to_redact(findings: Iterable[Finding], policy: Policy, direction: Direction) -> list[Finding]:
    """The findings whose spans the policy wants replaced."""
    return [
        finding
        for finding in findings
        if finding.direction.side is direction and action_for(finding, policy) is Verdict.REDACT
    ]


def blocked(findings: Iterable[Finding], policy: Policy, direction: Direction) -> BlockedByPolicy:
    """The error for a verdict `block`: names what was found and where, never the text itself."""
    reasons = [
        f"{finding.explanation.rstrip('.')} ({finding.check}.{finding.kind}"
        + (f" at {finding.span.path})" if finding.span else ")")
        for finding in findings
        if finding.direction.side is direction and action_for(finding, policy) is Verdict.BLOCK
    ]
    subject = "request" if direction is Direction.INPUT else "answer"
    shown = "; ".join(dict.fromkeys(reasons[:5])) or "no reason recorded"
    more = f"; and {len(reasons) - 5} more" if len(reasons) > 5 else ""
    return BlockedByPolicy(f"The {subject} was blocked by policy {policy.version}: {shown}{more}.")


def unreviewed(findings: Iterable[Finding], policy: Policy) -> BlockedByPolicy:
    """The error for a verdict `review`: nobody reviews requests yet, so none is let through unseen."""
    reasons = dict.fromkeys(
        f"{finding.check}.{finding.kind}" for finding in findings if action_for(finding, policy) is Verdict.REVIEW
    )
    return BlockedByPolicy(
        f"Policy {policy.version} wants the request reviewed ({', '.join(reasons)}), and reviews are not available: it "
        "is blocked. Take out what was found, or ask for another action in the policy."
    )
