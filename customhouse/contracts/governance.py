"""What checks find and what it means."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Verdict(StrEnum):
    """What the findings mean under the policy. The severest wins."""

    ALLOW = "allow"
    REDACT = "redact"
    REVIEW = "review"
    BLOCK = "block"

    @property
    def severity(self) -> int:
        return list(Verdict).index(self)


class Severity(StrEnum):
    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Direction(StrEnum):
    INPUT = "input"
    OUTPUT = "output"


class Span(BaseModel):
    """Where a finding lies: characters `start` to `end` (exclusive) of the text at `path`."""

    model_config = ConfigDict(frozen=True)

    path: str
    """Of the text within the request or answer, such as `messages.0.content` or `choices.0.message.content`."""
    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(ge=0)]


class Finding(BaseModel):
    """What one check reports. Never holds the offending text itself, so it may be logged."""

    model_config = ConfigDict(frozen=True)

    check: str
    """Name of the check, such as `secrets`."""
    kind: str
    """What was found, such as `aws_access_key` or `email`."""
    severity: Severity
    score: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Confidence."""
    direction: Direction
    span: Span | None = None
    explanation: str
    """One sentence."""


class StepTiming(BaseModel):
    """One recorded step of an invocation."""

    name: str
    """`clear`, `call`, `inspect`, `record`, and `check.<name>` for a check alone."""
    started_at: float
    """Seconds since the epoch."""
    duration_ms: float
    attributes: dict[str, str | int | float | bool | None] = {}
