"""Which lane an attempt takes: inside the workflow task, or as an activity of its own with heartbeats."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from customhouse.contracts.catalog import Deployment
from customhouse.contracts.invocation import Lane
from customhouse.contracts.timing import LOCAL_LANE_P95_LIMIT

MIN_SAMPLES = 3
"""Fewer recent calls than this say nothing about the next one."""


def recent_p95(durations_s: Sequence[float]) -> float | None:
    """The 95th percentile (nearest rank) of recent call times in seconds; None where there are too few to know."""
    if len(durations_s) < MIN_SAMPLES:
        return None
    ordered = sorted(durations_s)
    return ordered[ceil(0.95 * len(ordered)) - 1]


def choose_lane(deployment: Deployment, p95_s: float | None) -> Lane:
    """The lane for the next call to this deployment, given its recent p95 in seconds (None: not known).

    An unknown deployment goes the regular lane: a long call there costs 30 ms more, while a long call in the local
    lane holds the workflow task and makes cancels arrive late. So the cheap mistake is made until calls are known.
    """
    return _lane_and_why(deployment, p95_s)[0]


def explain_lane(deployment: Deployment, p95_s: float | None) -> str:
    """Why `choose_lane` chooses as it does, for the route's `reason`."""
    return _lane_and_why(deployment, p95_s)[1]


def _lane_and_why(deployment: Deployment, p95_s: float | None) -> tuple[Lane, str]:
    if deployment.task_queue is not None:
        return Lane.REGULAR, f"regular lane: own task queue {deployment.task_queue}"
    if deployment.lane != "auto":
        return Lane(deployment.lane), f"{deployment.lane} lane: fixed by the catalog"
    if p95_s is None:
        return Lane.REGULAR, "regular lane: too few recent calls to expect a short one"
    limit = LOCAL_LANE_P95_LIMIT.total_seconds()
    if p95_s < limit:
        return Lane.LOCAL, f"local lane: recent p95 {p95_s:.2f} s, under {limit:g} s"
    return Lane.REGULAR, f"regular lane: recent p95 {p95_s:.2f} s, not under {limit:g} s"
