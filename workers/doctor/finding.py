"""What a probe reports."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    OK = "ok"
    OFF = "off"
    """Not configured, and not needed."""
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True)
class Finding:
    """One row of the table."""

    part: str
    state: State
    detail: str
    """What was found, or what is wrong."""
    mend: str = ""
    """What to do."""


def ok(part: str, detail: str) -> Finding:
    return Finding(part, State.OK, detail)


def off(part: str, detail: str) -> Finding:
    return Finding(part, State.OFF, detail)


def warning(part: str, detail: str, mend: str) -> Finding:
    return Finding(part, State.WARNING, detail, mend)


def wrong(part: str, detail: str, mend: str = "") -> Finding:
    """`mend` empty: the detail, a message of our own, says it."""
    return Finding(part, State.WRONG, detail, mend)
