"""Messages of the housekeeping workflow."""

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
