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
    """Where a text comes from."""

    INPUT = "input"
    """From the caller, in the request."""
    TOOL_RESULT = "tool_result"
    """In the request too, but from elsewhere: what a tool returned, or a document. Nobody vouches for it."""
    OUTPUT = "output"
    """From the model, in the answer."""

    @property
    def side(self) -> Direction:
        """INPUT for whatever is in the request, OUTPUT for whatever is in the answer: verdicts are made by side."""
        return Direction.INPUT if self is Direction.TOOL_RESULT else self


class Span(BaseModel):
    """Where a finding lies: characters `start` to `end` (exclusive) of the text at `path`."""

    model_config = ConfigDict(frozen=True)

    path: str
    """Of the text within the request or answer, such as `messages.0.content` or `choices.0.message.content`."""
    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(ge=0)]


class CheckFailure(StrEnum):
    """Kinds of finding that say that a check could not look. What they mean is the policy's `on_failure`."""

    FAILED = "check_failed"
    TIMED_OUT = "check_timed_out"


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
    may_be_kept: bool = False
    """What is wrong is what the text asks for, not what it holds: it may be stored, and its finding read beside it."""

    @property
    def is_failure(self) -> bool:
        """True where the check did not look, for it failed or was late."""
        return self.kind in tuple(CheckFailure)


class InspectionContext(BaseModel):
    """What is known of a prompt and its caller besides the text, for the checks that weigh it."""

    model_config = ConfigDict(frozen=True)

    known_abuse: Annotated[float, Field(ge=-1, le=1)] | None = None
    """Cosine of the prompt and the nearest known abuse; None where nothing was compared."""
    behaviour: Annotated[float, Field(ge=0, le=1)] = 0.0
    """How suspicious the caller's last calls were, 0 to 1."""


class StepTiming(BaseModel):
    """One recorded step of an invocation."""

    name: str
    """`clear`, `call`, `inspect`, `record`, and `check.<name>` for a check alone."""
    started_at: float
    """Seconds since the epoch."""
    duration_ms: float
    attributes: dict[str, str | int | float | bool | None] = {}
