"""What is said when a budget passes one of its thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from customhouse.contracts.alerts import LONGEST_WINDOW_S, Alert, AlertKind
from customhouse.contracts.governance import Severity
from customhouse.contracts.money import plain
from customhouse.governance.alerts.keys import dedup_key, subject

REFUSED = 0
"""Stands among the thresholds for: a call was refused."""

SPENT = 100


@dataclass(frozen=True, slots=True)
class Passed:
    """One threshold of one period that nobody has been told of."""

    organization_id: UUID
    budget_id: UUID
    name: str
    scope: str
    subject: str
    period: str
    amount_usd: Decimal
    used_usd: Decimal
    hard: bool
    ends_at: datetime | None
    threshold: int
    """Percent; REFUSED for a refusal."""


def alert_of(passed: Passed) -> Alert:
    """One alert a period and threshold: repeats have the same key, for as long as keys are kept."""
    whose = passed.scope if passed.scope == "organization" else f"{passed.scope.replace('_', ' ')} {passed.subject}"
    spent = f"{plain(passed.used_usd)} of {plain(passed.amount_usd)} USD are spent"
    until = f" It begins anew at {passed.ends_at:%Y-%m-%dT%H:%M:%SZ}." if passed.ends_at is not None else ""
    if passed.threshold == REFUSED:
        title, severity = f"Budget {passed.name} refuses calls", Severity.HIGH
        what = "a call was refused, since the worst that it may cost did not fit in."
    elif passed.threshold >= SPENT:
        title, severity = f"Budget {passed.name} is spent", Severity.HIGH
        what = "calls that cost anything are refused." if passed.hard else "calls go on: it is not a hard budget."
    else:
        title, severity = f"Budget {passed.name} is at {passed.threshold} %", Severity.MEDIUM
        what = f"the soft limit of {passed.threshold} % is passed."
    return Alert(
        organization_id=passed.organization_id,
        kind=AlertKind.BUDGET,
        severity=severity,
        title=title[:200],
        text=f"{whose}, {passed.period}: {spent}; {what}{until}",
        subject=subject("budget", passed.budget_id),
        dedup_key=dedup_key("budget", passed.budget_id, passed.subject, passed.period, str(passed.threshold)),
        dedup_window_s=LONGEST_WINDOW_S,
        details={
            "subject": passed.subject,
            "period": passed.period,
            "threshold_percent": passed.threshold,
            "amount_usd": plain(passed.amount_usd),
            "used_usd": plain(passed.used_usd),
        },
    )
