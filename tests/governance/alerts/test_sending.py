from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from customhouse.contracts.alerts import AlertKind
from customhouse.contracts.governance import Severity
from customhouse.governance.alerts.sending import LONGEST_BODY, Place, notice_of, pause_after, wanting

ALERT, INVOCATION = UUID(int=1), UUID(int=2)


@dataclass(frozen=True)
class Told:
    id: UUID = ALERT
    organization: str = "acme"
    kind: AlertKind = AlertKind.BUDGET
    severity: Severity = Severity.HIGH
    title: str = "The budget is spent"
    text: str = "Raise it, or wait."
    subject: str | None = "budget:b"
    invocation_id: UUID | None = INVOCATION
    count: int = 3


def test_a_notice_tells_what_there_is_to_tell() -> None:
    notice = notice_of(Told())
    assert notice.title == "[high] The budget is spent"
    assert notice.body.splitlines() == [
        "Raise it, or wait.",
        "",
        "organization: acme",
        "about: budget:b",
        "seen: 3 times",
        f"invocation: {INVOCATION}",
        f"alert: {ALERT}",
    ]
    assert notice_of(Told(text="", subject=None, invocation_id=None, count=1)).body.splitlines() == [
        "organization: acme",
        f"alert: {ALERT}",
    ]
    assert len(notice_of(Told(text="x" * 10_000)).body) == LONGEST_BODY


def test_places_want_what_is_severe_enough_and_new_to_them() -> None:
    low, high = Place(1, "json", Severity.LOW, "a"), Place(2, "slack", Severity.HIGH, "b")
    assert wanting([low, high], Severity.MEDIUM, []) == [low]
    assert wanting([low, high], Severity.HIGH, []) == [low, high]
    assert wanting([low, high], Severity.CRITICAL, ["a"]) == [high]


def test_pauses_double_up_to_the_longest() -> None:
    first, longest = timedelta(seconds=10), timedelta(minutes=15)
    pauses = [pause_after(attempts, first, longest).total_seconds() for attempts in (1, 2, 3, 8, 1000)]
    assert pauses == [10, 20, 40, 900, 900]
