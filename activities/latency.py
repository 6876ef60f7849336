"""How long each deployment took of late, as this process saw it: what the lane is chosen by."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from customhouse.governance.lanes import recent_p95

_SAMPLES = 50


class LatencyBook:
    """Rolling p95 a deployment, in seconds. Seeded from the ledger at start, so that a restart forgets nothing."""

    def __init__(self, seed: Mapping[str, float]) -> None:
        self._samples: dict[str, deque[float]] = {}
        self._p95s: dict[str, float | None] = dict(seed)

    def observe(self, deployment_id: str, seconds: float) -> None:
        samples = self._samples.setdefault(deployment_id, deque(maxlen=_SAMPLES))
        samples.append(seconds)
        fresh = recent_p95(samples)
        if fresh is not None:
            self._p95s[deployment_id] = fresh

    @property
    def p95s(self) -> Mapping[str, float | None]:
        return self._p95s
