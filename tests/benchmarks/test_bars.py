"""What is wanted of each benchmark, judged on figures made by hand."""

from __future__ import annotations

import math
from typing import Literal

import pytest

from benchmarks.bars import Bar
from benchmarks.figures import Figures, Percentiles
from benchmarks.overhead import DIRECT, EMPTY, STREAM, WHOLE, bars
from benchmarks.peers.figures import Manner, PeerFigures, next_mark, read_block
from benchmarks.peers.figures import bars as peer_bars
from benchmarks.peers.figures import median as peer_median


@pytest.mark.parametrize(
    ("sense", "measured", "is_met"),
    [
        ("at most", 2.0, True),
        ("at most", 2.1, False),
        ("at least", 2.0, True),
        ("at least", 1.9, False),
        ("below", 2.0, False),
        ("below", 1.9, True),
        ("at most", math.nan, False),
        ("at least", math.nan, False),
    ],
)
def test_a_bar_is_met_on_its_own_side_only(
    sense: Literal["at most", "at least", "below"], measured: float, is_met: bool
) -> None:
    assert Bar("b", measured, 2.0, sense).is_met is is_met


def test_overhead_is_judged_without_the_providers_own_time() -> None:
    measured = {
        1: {
            DIRECT: _figures(1, 2, 0),
            EMPTY: _figures(10, 20, 0),
            WHOLE: _figures(16, 44, 0),
            STREAM: _figures(30, 151, 0),
        },
        32: {EMPTY: _figures(0, 0, 60), WHOLE: _figures(0, 0, 45)},
    }
    p50, p95, rate, whole, streamed = bars(measured)
    assert (p50.measured, p50.is_met) == (1.5, True)
    assert (p95.measured, p95.is_met) == (2.1, False)
    assert (rate.measured, rate.is_met) == (0.75, True)
    assert whole.is_met
    assert not streamed.is_met


def test_peers_are_judged_whole_and_streamed() -> None:
    peer = {Manner(c, s): _peer(added=25, rate=40, cpu=90) for c in (1, 32) for s in (False, True)}
    ours = {manner: _peer(added=20, rate=50, cpu=40) for manner in peer}
    assert all(bar.is_met for bar in peer_bars(ours, peer))
    assert not any(bar.is_met for bar in peer_bars(peer, ours))
    assert [bar.is_met for bar in next_mark(ours, {Manner(32, stream=False): _peer(added=25, rate=93, cpu=90)}, 2)] == [
        False
    ]


def test_a_block_of_the_harness_is_read_as_what_the_gateway_adds() -> None:
    block = {
        "direct": {"p50": 1.0, "p95": 2.0, "ttft": {"p50": 0.5}},
        "gateway": {"p50": 21.0, "p95": 32.0, "rps": 44.0, "cpu_ms": 18.0, "ttft": {"p50": 15.5}},
    }
    read = read_block(block)
    assert read == PeerFigures(21.0, 32.0, 20.0, 30.0, 15.0, 44.0, 18.0)
    assert peer_median([read, read, _peer(added=99, rate=1, cpu=1)]) == read


def _figures(p50: float, p95: float, rate: float) -> Figures:
    spread = Percentiles(p50, p95, p95)
    return Figures(requests=1, errors=0, per_second=rate, total_ms=spread, first_ms=spread, cpu_ms={})


def _peer(*, added: float, rate: float, cpu: float) -> PeerFigures:
    return PeerFigures(added + 1, added + 2, added, added, added, rate, cpu)
