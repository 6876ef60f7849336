"""How results are told: tables for people, then one line of JSON, which is also kept as a file."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.bars import Bar

RESULTS = Path(__file__).parent / "results"

WIDTH = 160
"""Characters: figures are never cut to fit a terminal or a log."""


def console() -> Console:
    return Console(width=WIDTH, highlight=False)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Text in the first column, numbers in the others."""
    made = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        made.add_column(column, justify="right" if index else "left", no_wrap=True)
    for row in rows:
        made.add_row(*row)
    return made


def bars_table(bars: Sequence[Bar]) -> Table:
    rows = [(bar.name, number(bar.measured), f"{bar.sense} {number(bar.limit)}", bar.unit, bar.word) for bar in bars]
    return table("Wanted", ("what", "measured", "limit", "unit", ""), rows)


def number(value: float) -> str:
    """Three figures that mean something, and no exponent."""
    if math.isnan(value):
        return "–"
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def finish(name: str, printer: Console, result: Mapping[str, Any], bars: Sequence[Bar]) -> None:
    """Print the bars, and the JSON line last; keep the line in `results/NAME.json` and a dated copy beside it."""
    now = datetime.now(UTC)
    printer.print(bars_table(bars))
    line = to_json(
        {
            "benchmark": name,
            "at": now.isoformat(timespec="seconds"),
            "machine": machine(),
            **result,
            "bars": [{**asdict(bar), "is_met": bar.is_met} for bar in bars],
        }
    )
    RESULTS.mkdir(exist_ok=True)
    for file in (f"{name}.json", f"{name}-{now:%Y%m%dT%H%M%SZ}.json"):
        (RESULTS / file).write_bytes(line + b"\n")
    printer.file.write(line.decode() + "\n")
    printer.file.flush()


def machine() -> dict[str, Any]:
    """What figures depend on."""
    return {
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": psutil.getloadavg()[0],
    }


def to_json(value: Any) -> bytes:
    return orjson.dumps(_plain(value))


def _plain(value: Any) -> Any:
    """Dataclasses as objects, floats cut to what was measured; JSON has no NaN, so it becomes null."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, Decimal):  # money
        return str(value)
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 6)
    return value
