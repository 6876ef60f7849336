"""What a caller's record says: repeat offences, probing and haste, as one score; and when to block by itself.

A record is a list of moments, so all this is a matter of counting. The weights are set by hand, with these cases in
mind: three blocked prompts of one user are a coin's toss, ten are a pattern; a key or an address that many share is
judged by the share of its calls that offend, not by their number; haste alone never makes a caller an abuser.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

WINDOW_S = 600.0
"""What lies further back is forgotten."""

HASTE_S = 60.0

HALFWAY = 3.0
"""So many offences raise the score to a half; twice as many to three quarters."""

PROBES_AN_OFFENCE = 4.0
"""A prompt that comes near the threshold is a try; several different ones are a search for the way round it."""

NEAR = 0.3
"""From this probability on a prompt that is let through counts as near. Benign prompts rarely get half of it."""

STEADY_PER_MINUTE = 60
HASTY_PER_MINUTE = 300
HASTE_WEIGHT = 0.15

SHARED_WEIGHT = 0.7
"""Of a key or an address: others may be behind it."""

LONGEST_RECORD = 1_000
"""Moments of one kind that are kept; more change no score."""


@dataclass(frozen=True, slots=True)
class AutoBlock:
    """When repeated abuse leads to a block, and for how long. No offences: never."""

    after: int = 10
    """Blocked prompts…"""
    window_s: float = 600
    """…within so many seconds…"""
    duration_s: float = 3600
    """…block for so many seconds."""


@dataclass(slots=True)
class Record:
    """What one user, key or address did of late. Moments are seconds of any steady clock, oldest first."""

    calls: deque[float] = field(default_factory=lambda: deque(maxlen=LONGEST_RECORD))
    offences: deque[float] = field(default_factory=lambda: deque(maxlen=LONGEST_RECORD))
    near: dict[str, float] = field(default_factory=dict)
    """Digest of a prompt that came near the threshold → when it last did."""

    def forget(self, before: float) -> None:
        for moments in (self.calls, self.offences):
            while moments and moments[0] < before:
                moments.popleft()
        while self.near and next(iter(self.near.values())) < before:
            del self.near[next(iter(self.near))]

    def is_empty(self) -> bool:
        return not (self.calls or self.offences or self.near)

    def probed(self, digest: str, now: float) -> None:
        self.near.pop(digest, None)  # to the end: the oldest stand first
        self.near[digest] = now
        if len(self.near) > LONGEST_RECORD:
            del self.near[next(iter(self.near))]


def score(record: Record, now: float, *, shared: bool) -> float:
    """From 0 (nothing against the caller) to 1. `shared`: a key or an address, which several may use."""
    record.forget(now - WINDOW_S)
    offences = len(record.offences) + max(0, len(record.near) - 1) / PROBES_AN_OFFENCE
    repeated = 1 - 2 ** (-offences / HALFWAY)
    if shared:
        return SHARED_WEIGHT * repeated * min(1.0, 2 * offences / max(len(record.calls), 1))
    return 1 - (1 - repeated) * (1 - HASTE_WEIGHT * _haste(record, now))


def _haste(record: Record, now: float) -> float:
    """0 at a person's pace, 1 at a machine's."""
    per_minute = 0
    for moment in reversed(record.calls):
        if moment < now - HASTE_S or per_minute >= HASTY_PER_MINUTE:
            break
        per_minute += 1
    return max(0.0, (per_minute - STEADY_PER_MINUTE) / (HASTY_PER_MINUTE - STEADY_PER_MINUTE))


def is_to_block(record: Record, now: float, rule: AutoBlock) -> bool:
    """Whether the offences of late are as many as lead to a block."""
    if rule.after <= 0 or len(record.offences) < rule.after:
        return False
    return record.offences[-rule.after] >= now - rule.window_s
