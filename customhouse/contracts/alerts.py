"""What operators are told of by themselves: one message for all parts that raise alerts, and the seam for it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Protocol
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from customhouse.contracts.governance import Severity

LONGEST_WINDOW_S = 400 * 86_400
"""Over a year: for what is told once a year."""


class AlertKind(StrEnum):
    """What an alert is about."""

    ABUSE = "abuse"
    """A prompt was blocked as abuse."""
    BLOCK = "block"
    """An address, user or key was blocked, by itself or by an operator."""
    BUDGET = "budget"
    """A soft limit was passed, or a hard one refuses calls."""
    RATE_LIMIT = "rate_limit"
    CAMPAIGN = "campaign"
    """Near-copies of one prompt come in a burst."""
    DRIFT = "drift"
    """Live scores of the abuse model no longer look like those it was made with."""
    CHECK_FAILED = "check_failed"
    """A check raised or ran out of time."""
    TEST = "test"
    """Sent by hand, to see that alerts arrive."""


class AlertStatus(StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    """Somebody looks after it. It still counts repeats."""
    CLOSED = "closed"
    """What comes after it is a new alert."""


class Alert(BaseModel):
    """One alert as it is raised. Never holds the text of a prompt or an answer: it leaves the house by e-mail and chat.

    Repeats with the same `dedup_key` within `dedup_window_s` of the first count up one row and notify nobody again,
    unless they are severer; so the key names what makes two alerts the same, such as `abuse:<user>:<category>` or
    `budget:<budget id>:soft:<period>`. `customhouse.governance.alerts.keys.dedup_key` makes one of any parts.
    """

    model_config = ConfigDict(frozen=True)

    organization_id: UUID
    kind: AlertKind
    severity: Severity = Severity.MEDIUM
    title: Annotated[str, Field(min_length=1, max_length=200)]
    """One line."""
    text: Annotated[str, Field(max_length=4000)] = ""
    """What happened, to whom, and what can be done about it."""
    subject: Annotated[str | None, Field(max_length=300)] = None
    """Whom or what it is about: `user:<id>`, `agent:<id>`, `key:<id>`, `budget:<id>`, `ip:<address>`."""
    dedup_key: Annotated[str, Field(min_length=1, max_length=500)]
    dedup_window_s: Annotated[float, Field(gt=0, le=LONGEST_WINDOW_S)] = 3600
    """Seconds from the first one. Longer where the cause lasts: a month's budget, say."""
    invocation_id: UUID | None = None
    """The one that raised it, or the latest."""
    details: dict[str, Any] = {}
    """JSON: numbers and names that a program may want. No content."""


class AlertSink(Protocol):
    """Where alerts are raised. Injected by constructor."""

    async def raise_alert(self, alert: Alert) -> None:
        """`activities.alerts.AlertDesk` takes note of it, returns at once and never raises: what processes that serve
        calls are given. `customhouse.storage.alerts.Alerts` returns when it is durable, some milliseconds later, and
        raises NotReady where Postgres is away. Either way it is sent later, by a sender in the background.
        """
        ...
