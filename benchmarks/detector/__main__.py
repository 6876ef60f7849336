"""How well abuse is told from harmless text, and how fast: `python -m benchmarks.detector`, or `make detector`.

Prints figures by category and by source, and the same without each part of the detector. The last line is one JSON
object. Exit code 2, and what is wrong on standard error, where the data cannot be used.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from benchmarks import report

if TYPE_CHECKING:
    from benchmarks.detector.judging import Scored

ROOT = Path(__file__).resolve().parents[2]
DEV = ROOT.parent / "shared" / "data" / "abuse" / "dev.jsonl"
SUITE = ROOT / "training" / "suite" / "v1" / "suite.jsonl.gz"

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
MISLEADING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Where these are set, numpy is slower than it is for others."""

TIMED = 500
"""Texts whose latency is taken, on one thread, where several processes make the scores."""
SEED = 4


def main(arguments: argparse.Namespace, printer: Console) -> int:
    # Here, because numpy is not to be imported before the environment is cleared.
    from benchmarks.detector.judging import judge_all, judge_in, load_shipped
    from benchmarks.detector.rows import BadData, read_rows
    from benchmarks.detector.summary import hard_false_positives, parts, summary
    from customhouse.governance.abuse.detector import PARTS

    try:
        rows = read_rows(arguments.data)
    except BadData as error:
        print(error, file=sys.stderr)
        return 2
    if arguments.sample and arguments.sample < len(rows):
        rows = random.Random(SEED).sample(rows, arguments.sample)
    detector = load_shipped()
    texts = [row.text for row in rows]

    def judged(without: frozenset[str] = frozenset()) -> list[Scored]:
        if arguments.jobs == 1:
            return judge_all(detector, texts, without)
        return judge_in(arguments.jobs, texts, without, load=load_shipped)

    scored = judged()
    figures = asdict(summary(rows, scored))
    categories = parts(rows, scored, lambda row: row.category)
    sources = parts(rows, scored, lambda row: row.source)
    is_timed = arguments.jobs == 1
    if not is_timed:
        sample = random.Random(SEED).sample(range(len(rows)), min(TIMED, len(rows)))
        timed = summary([rows[i] for i in sample], judge_all(detector, [texts[i] for i in sample]))
        figures |= {name: getattr(timed, name) for name in ("p50_ms", "p95_ms", "cpu_p50_ms", "cpu_p95_ms")}
    figures["hard_false_positive_rate"] = hard_false_positives(rows, scored)
    figures["mean_category_accuracy"] = sum(each.accuracy for each in categories.values()) / len(categories)

    ablations = {"nothing": figures}
    for part in () if arguments.no_ablation else sorted(PARTS):
        without = judged(frozenset({part}))
        ablations[part] = asdict(summary(rows, without))
        ablations[part]["hard_false_positive_rate"] = hard_false_positives(rows, without)

    _show(printer, "By category", {name: asdict(each) for name, each in categories.items()}, is_timed=is_timed)
    _show(printer, "By source", {name: asdict(each) for name, each in sources.items()}, is_timed=is_timed)
    _show(printer, "In all", {"all rows": figures})
    if len(ablations) > 1:
        _show_ablations(printer, ablations)
    result = {
        "data": arguments.data.name if arguments.data != SUITE else "suite/v1",
        "model_version": detector.version,
        **figures,
        "by_category": categories,
        "by_source": sources,
        "without": {name: each for name, each in ablations.items() if name != "nothing"},
        "machine": report.machine(),
    }
    printer.file.write(report.to_json(result).decode() + "\n")
    printer.file.flush()
    return 0


_COLUMNS: Sequence[tuple[str, str]] = (
    ("n", "n"), ("accuracy", "right"), ("recall", "recall"), ("false_positive_rate", "false pos."),
    ("recall_at_1pct_fpr", "rec. at 1 %"), ("recall_at_2pct_fpr", "at 2 %"), ("auc", "AUC"), ("ece", "ECE"),
    ("deep_share", "deep"),
)  # fmt: skip
_TIMES: Sequence[tuple[str, str]] = (("p50_ms", "p50 ms"), ("p95_ms", "p95 ms"), ("cpu_p50_ms", "p50 ms CPU"))
_ABLATED: Sequence[tuple[str, str]] = (
    ("balanced_accuracy", "balanced"), ("recall", "recall"), ("false_positive_rate", "false pos."),
    ("hard_false_positive_rate", "hard benign false pos."), ("recall_at_1pct_fpr", "rec. at 1 %"),
    ("recall_at_2pct_fpr", "at 2 %"), ("auc", "AUC"), ("ece", "ECE"), ("p50_ms", "p50 ms"), ("p95_ms", "p95 ms"),
)  # fmt: skip


def _show(printer: Console, title: str, found: Mapping[str, Mapping[str, Any]], *, is_timed: bool = True) -> None:
    columns = (*_COLUMNS, *_TIMES) if is_timed else _COLUMNS
    _print(printer, title, "", columns, found)


def _show_ablations(printer: Console, found: Mapping[str, Mapping[str, Any]]) -> None:
    _print(printer, "Without a part", "without", _ABLATED, found)


def _print(
    printer: Console,
    title: str,
    first: str,
    columns: Sequence[tuple[str, str]],
    found: Mapping[str, Mapping[str, Any]],
) -> None:
    rows = [(name, *(_figure(each[column], column) for column, _ in columns)) for name, each in found.items()]
    printer.print(report.table(title, (first, *(head for _, head in columns)), rows))


def _figure(value: float, column: str) -> str:
    is_share = column != "n" and not column.endswith("_ms")
    return report.number(value) if not is_share or value != value else f"{value:.3f}"


def arguments_from(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detector", description=__doc__)
    data = parser.add_mutually_exclusive_group()
    data.add_argument("--data", type=Path, default=DEV, help="JSON Lines with text, label, category, source (dev)")
    data.add_argument("--suite", dest="data", action="store_const", const=SUITE, help="the project's own abuse suite")
    parser.add_argument("--jobs", type=int, default=1, choices=range(1, 17), metavar="N", help="processes that score")
    parser.add_argument("--sample", type=int, metavar="N", help="judge so many rows only, drawn by a fixed seed")
    parser.add_argument("--no-ablation", action="store_true", help="leave out the runs without each part")
    return parser.parse_args(given)


def cleared(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment in which figures are taken: one thread, and numpy left to choose its kernels."""
    return {name: value for name, value in environment.items() if name not in MISLEADING} | ONE_THREAD


def run(given: Sequence[str], restart: Callable[[Mapping[str, str]], None]) -> int:
    wanted = cleared(os.environ)
    if wanted != dict(os.environ):
        restart(wanted)  # numpy and onnxruntime read these once, when they are first imported
    return main(arguments_from(given), report.console())


def _restart(environment: Mapping[str, str]) -> None:
    os.execve(sys.executable, [sys.executable, "-m", "benchmarks.detector", *sys.argv[1:]], environment)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:], _restart))
