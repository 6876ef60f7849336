"""Messages of the workflows that run by the hour."""

from __future__ import annotations

from pydantic import BaseModel


class Housekept(BaseModel):
    """What a look after unfinished invocations came to."""

    looked_at: int
    closed: int


class HousekeepingResult(BaseModel):
    """Result of the workflow `Housekeeping`."""

    partitions_made: list[str]
    invocations: Housekept


class DriftResult(BaseModel):
    """Result of the workflow `DriftWatch`."""

    compared: int
    """Organizations whose scores were looked at."""
    alerts: int
    """Those whose scores have drifted."""
