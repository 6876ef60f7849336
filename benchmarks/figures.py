"""Figures of a block of load, and the median of several. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PERCENTILES = (50, 95, 99)


@dataclass(frozen=True, slots=True)
class Percentiles:
    """In milliseconds; NaN where nothing was answered."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What one block of load came to."""

    requests: int
    errors: int
    per_second: float
    total_ms: Percentiles
    first_ms: Percentiles
    """To the first piece of content."""
    cpu_ms: Mapping[str, float]
    """By part of the stack, for one request."""


def percentiles(seconds: Sequence[float]) -> Percentiles:
    """By nearest rank: each is a duration that was measured."""
    ordered = sorted(seconds)
    if not ordered:
        return Percentiles(math.nan, math.nan, math.nan)
    return Percentiles(*(ordered[math.ceil(q * len(ordered) / 100) - 1] * 1000 for q in PERCENTILES))


def median(rounds: Sequence[Figures]) -> Figures:
    """Each figure's median over the rounds; requests and errors are summed."""
    return Figures(
        requests=sum(each.requests for each in rounds),
        errors=sum(each.errors for each in rounds),
        per_second=statistics.median(each.per_second for each in rounds),
        total_ms=_median([each.total_ms for each in rounds]),
        first_ms=_median([each.first_ms for each in rounds]),
        cpu_ms={
            part: statistics.median(each.cpu_ms[part] for each in rounds)
            for part in (rounds[0].cpu_ms if rounds else ())
        },
    )


def _median(rounds: Sequence[Percentiles]) -> Percentiles:
    return Percentiles(
        statistics.median(each.p50 for each in rounds),
        statistics.median(each.p95 for each in rounds),
        statistics.median(each.p99 for each in rounds),
    )


def growth(readings: Sequence[float]) -> float:
    """How much the last reading is above the first, as a share of the first: 0.05 is 5 %."""
    return readings[-1] / readings[0] - 1
