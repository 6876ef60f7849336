"""What of an invocation becomes a governance event: findings acted upon, and whatever is out of the ordinary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from customhouse.contracts.governance import Finding, Verdict
from customhouse.contracts.invocation import AttemptOutcome, AttemptStatus, InvocationStatus, RecordInput
from customhouse.governance.policy import Policy
from customhouse.governance.verdict import action_for


@dataclass(frozen=True, slots=True)
class Event:
    """A row for `governance_events`. Its details never hold content."""

    event_type: str
    action: str | None = None
    policy: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


def events_of(record: RecordInput, policy: Policy) -> list[Event]:
    """The events of one invocation, in the order in which they happened."""
    return [*_findings(record, policy), *_attempt(record.outcome), *_end(record)]


def _findings(record: RecordInput, policy: Policy) -> Iterator[Event]:
    outcome = record.outcome
    for finding in [*record.decision.findings, *(outcome.findings if outcome is not None else ())]:
        action = action_for(finding, policy)
        if finding.is_failure:
            yield Event(finding.kind, action.value, record.decision.policy_version, _without_text(finding))
        elif action is not Verdict.ALLOW:
            yield Event("finding", action.value, record.decision.policy_version, _without_text(finding))


def _attempt(outcome: AttemptOutcome | None) -> Iterator[Event]:
    if outcome is None or outcome.status is not AttemptStatus.SUCCEEDED:
        return
    if outcome.usd_cost is None:
        yield Event(
            "price_unknown",
            "stored_null",
            details={"deployment_id": outcome.step.deployment_id, "attempt": outcome.number},
        )
    if outcome.shortages:
        yield Event(
            "budget_stopped_stream",
            "ended",
            details={
                "deployment_id": outcome.step.deployment_id,
                "attempt": outcome.number,
                "budgets": [shortage.model_dump(mode="json") for shortage in outcome.shortages],
            },
        )
    if outcome.usage_estimated:
        yield Event(
            "usage_estimated",
            "charged_estimate",
            details={"deployment_id": outcome.step.deployment_id, "attempt": outcome.number},
        )


def _end(record: RecordInput) -> Iterator[Event]:
    if record.status in (InvocationStatus.COMPLETED, InvocationStatus.BLOCKED):
        return
    yield Event(
        f"invocation_{record.status}",
        None,
        record.decision.policy_version,
        {
            "code": record.error.code if record.error is not None else None,
            "left_out": [out.model_dump() for out in record.decision.left_out],
        },
    )


def _without_text(finding: Finding) -> dict[str, Any]:
    """A finding never holds the offending text, so all of it may be stored."""
    return finding.model_dump(mode="json")
