"""What a gateway adds to a call, read from the harness's blocks; and the bars. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from benchmarks.bars import Bar


@dataclass(frozen=True, slots=True)
class Manner:
    """How calls were made."""

    at_once: int
    stream: bool

    def __str__(self) -> str:
        return f"{'streamed' if self.stream else 'whole'}, {self.at_once} at once"


@dataclass(frozen=True, slots=True)
class PeerFigures:
    """One gateway's, in milliseconds. Added: less the same percentile of the provider called directly."""

    p50: float
    p95: float
    added_p50: float
    added_p95: float
    first_added_p50: float
    """To the first content of a stream; NaN for whole answers."""
    per_second: float
    cpu_ms: float
    """Of all its processes, for one request."""


def read_block(block: Mapping[str, Any]) -> PeerFigures:
    """`block`: `direct` and `gateway`, each as the harness gives them."""
    direct, gateway = block["direct"], block["gateway"]
    first = gateway["ttft"]["p50"] - direct["ttft"]["p50"] if "ttft" in gateway else math.nan
    return PeerFigures(
        p50=gateway["p50"],
        p95=gateway["p95"],
        added_p50=gateway["p50"] - direct["p50"],
        added_p95=gateway["p95"] - direct["p95"],
        first_added_p50=first,
        per_second=gateway["rps"],
        cpu_ms=gateway["cpu_ms"],
    )


def median(repeats: Sequence[PeerFigures]) -> PeerFigures:
    """Each figure's median over the repeats."""
    return PeerFigures(*(statistics.median(getattr(each, f.name) for each in repeats) for f in fields(PeerFigures)))


def bars(ours: Mapping[Manner, PeerFigures], peer: Mapping[Manner, PeerFigures]) -> list[Bar]:
    """What is wanted beside one worker of the peer's."""
    made = []
    for stream in (False, True):
        alone, crowd = Manner(1, stream), Manner(32, stream)
        made += [
            Bar(f"p50 added, {alone}", ours[alone].added_p50, peer[alone].added_p50, unit="ms"),
            Bar(f"per second, {crowd}", ours[crowd].per_second, peer[crowd].per_second, "at least"),
        ]
    streamed = Manner(1, stream=True)
    return [*made, Bar("CPU of a streamed answer", ours[streamed].cpu_ms, peer[streamed].cpu_ms, "below", "ms")]


def next_mark(ours: Mapping[Manner, PeerFigures], peer: Mapping[Manner, PeerFigures], workers: int) -> list[Bar]:
    """Beside several workers of the peer's on the same cores."""
    crowd = Manner(32, stream=False)
    name = f"next mark, {workers} workers: per second, {crowd}"
    return [Bar(name, ours[crowd].per_second, peer[crowd].per_second, "at least")]
