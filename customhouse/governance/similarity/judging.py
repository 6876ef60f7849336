"""From nearness to findings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from customhouse.contracts.governance import CheckFailure, Direction, Finding, Severity, Verdict
from customhouse.governance.policy import Policy
from customhouse.governance.similarity.campaign import Campaign
from customhouse.governance.similarity.recent import Match
from customhouse.governance.similarity.thresholds import Band
from customhouse.governance.verdict import action_for

CHECK = "similarity"

BLOCKED_COPY = "blocked_copy"
KNOWN_ABUSE = "known_abuse"
CAMPAIGN = "campaign"

_NOT_ABUSE_BY_ITSELF = frozenset({BLOCKED_COPY, CAMPAIGN})


@dataclass(frozen=True, slots=True)
class Nearness:
    """What a prompt is near to. None where there is nothing to be near to."""

    prompt_hash: str
    band: Band
    blocked: Match | None
    """The nearest prompt of the organization that was blocked for what it asks."""
    let_through: Match | None
    """The nearest one that was not blocked, as far as is known."""
    known_abuse: float
    category: str
    campaign: Campaign | None = None
    has_looked: bool = True
    """False where the organization's earlier prompts could not be read in time."""


def findings_of(near: Nearness) -> list[Finding]:
    """What is to be said of it, the gravest first. Never holds any text."""
    found = [
        _copy_of_blocked(near),
        _known_abuse(near),
        _campaign(near.campaign),
        None if near.has_looked else _late(),
    ]
    return [finding for finding in found if finding is not None]


def is_abuse(findings: Iterable[Finding], policy: Policy) -> bool:
    """Whether the request is blocked for what it asks, and so its near-copies will be held against it.

    Not for what it merely holds (a key, an address): a copy without that is innocent. Nor because it is a copy itself,
    else copies of copies would drift away from what was judged.
    """
    return any(
        finding.may_be_kept
        and not (finding.check == CHECK and finding.kind in _NOT_ABUSE_BY_ITSELF)
        and action_for(finding, policy) is Verdict.BLOCK
        for finding in findings
    )


def _copy_of_blocked(near: Nearness) -> Finding | None:
    blocked = near.blocked
    if blocked is None:
        return None
    if blocked.prompt_hash == near.prompt_hash:
        return _finding(BLOCKED_COPY, Severity.CRITICAL, 1.0, "The same prompt was blocked before.")
    if blocked.score < near.band.near_copy:
        return None
    # Agents fill in templates, whose prompts are all alike: where one was let through that is nearer still, the blocked
    # one shares no more with this prompt than its template.
    if near.let_through is not None and near.let_through.score >= blocked.score:
        return None
    return _finding(
        BLOCKED_COPY, Severity.HIGH, blocked.score, f"A near-copy ({blocked.score:.3f}) of it was blocked before."
    )


def _known_abuse(near: Nearness) -> Finding | None:
    if near.known_abuse < near.band.known_abuse:
        return None
    return _finding(
        KNOWN_ABUSE,
        Severity.HIGH,
        near.known_abuse,
        f"It is a near-copy ({near.known_abuse:.3f}) of known abuse: {near.category.replace('_', ' ')}.",
    )


def _campaign(campaign: Campaign | None) -> Finding | None:
    if campaign is None:
        return None
    return _finding(
        CAMPAIGN,
        Severity.MEDIUM if campaign.is_suspicious else Severity.INFO,
        1.0,
        f"It is one of {campaign.copies} near-copies from {campaign.users} sender{'s' * (campaign.users > 1)} in a "
        f"burst, {campaign.blocked} of them blocked.",
    )


def _late() -> Finding:
    return _finding(
        CheckFailure.TIMED_OUT, Severity.INFO, 1.0, "Earlier prompts could not be read in time to compare it with them."
    )


def _finding(kind: str, severity: Severity, score: float, explanation: str) -> Finding:
    return Finding(
        check=CHECK,
        kind=kind,
        severity=severity,
        score=min(1.0, max(0.0, score)),
        direction=Direction.INPUT,
        explanation=explanation,
        may_be_kept=True,
    )
