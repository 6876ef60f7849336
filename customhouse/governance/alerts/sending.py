"""What is sent of an alert, to whom, and when a failed try is repeated."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from customhouse.contracts.alerts import AlertKind
from customhouse.contracts.governance import Severity
from customhouse.governance.alerts.severity import at_least

LONGEST_BODY = 6_000
"""Characters; most chat services cut off or refuse more."""


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere that alerts are sent to."""

    number: int
    """In the setting, from 1."""
    scheme: str
    """Of its URL, such as `slack`; the rest of the URL is a secret."""
    minimum: Severity
    """Less severe alerts are not sent there."""
    fingerprint: str
    """Of its URL: stays the same while the setting's order changes."""

    @property
    def name(self) -> str:
        """For messages: without the secret."""
        return f"place {self.number} ({self.scheme})"


@dataclass(frozen=True, slots=True)
class Notice:
    """What a place is told."""

    title: str
    body: str
    severity: Severity


class Telling(Protocol):
    """What a notice is made of."""

    @property
    def id(self) -> UUID: ...
    @property
    def organization(self) -> str: ...
    @property
    def kind(self) -> AlertKind: ...
    @property
    def severity(self) -> Severity: ...
    @property
    def title(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def subject(self) -> str | None: ...
    @property
    def invocation_id(self) -> UUID | None: ...
    @property
    def count(self) -> int: ...


def notice_of(alert: Telling) -> Notice:
    facts = {
        "organization": alert.organization,
        "about": alert.subject,
        "seen": None if alert.count == 1 else f"{alert.count} times",
        "invocation": alert.invocation_id,
        "alert": alert.id,
    }
    lines = [f"{name}: {value}" for name, value in facts.items() if value is not None]
    body = "\n".join(([alert.text, ""] if alert.text else []) + lines)
    return Notice(f"[{alert.severity}] {alert.title}", body[:LONGEST_BODY], alert.severity)


def wanting(places: Iterable[Place], severity: Severity, delivered_to: Iterable[str]) -> list[Place]:
    """The places that are to be told and have not been."""
    reached = frozenset(delivered_to)
    return [place for place in places if at_least(severity, place.minimum) and place.fingerprint not in reached]


def pause_after(attempts: int, first: timedelta, longest: timedelta) -> timedelta:
    """Doubles with each try. `attempts`: those that have failed, from 1."""
    return min(longest, first * (1 << min(attempts - 1, 30)))
