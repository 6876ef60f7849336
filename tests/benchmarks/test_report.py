"""How figures are printed."""

from __future__ import annotations

import io
import math
from decimal import Decimal
from pathlib import Path

import orjson
import pytest
from rich.console import Console

from benchmarks import report
from benchmarks.bars import Bar
from benchmarks.figures import Percentiles


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.456, "0.46"), (45.67, "45.7"), (1234.5, "1234"), (3.0, "3"), (math.nan, "–"), (-0.5, "-0.50")],
)
def test_numbers_have_three_figures_and_no_exponent(value: float, text: str) -> None:
    assert report.number(value) == text


def test_json_has_no_nan_and_no_exponent_for_money() -> None:
    line = report.to_json({"a": Percentiles(1.23456789, math.nan, 3.0), "usd": Decimal("0.000001"), 32: [math.nan]})
    assert orjson.loads(line) == {"a": {"p50": 1.234568, "p95": None, "p99": 3.0}, "usd": "0.000001", "32": [None]}


def test_the_last_line_is_json_and_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    printed = io.StringIO()
    bars = [Bar("drift", 0.5, 0, unit="USD"), Bar("rate", 50, 40, "at least")]
    report.finish("proof", Console(file=printed, width=report.WIDTH), {"seed": 7}, bars)
    lines = printed.getvalue().splitlines()
    told = orjson.loads(lines[-1])
    assert (told["benchmark"], told["seed"]) == ("proof", 7)
    assert [bar["is_met"] for bar in told["bars"]] == [False, True]
    assert sum("FAIL" in line for line in lines) == 1
    assert sum("PASS" in line for line in lines) == 1
    assert orjson.loads((tmp_path / "results" / "proof.json").read_bytes()) == told
    assert len(list((tmp_path / "results").iterdir())) == 2
