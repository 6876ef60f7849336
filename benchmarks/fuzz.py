"""Whether any text breaks a check, or costs one more than it may: `python -m benchmarks.fuzz`, or `make fuzz`.

50,000 texts of 40 kinds and mixtures, up to 8 KB, through every check of the product, those of installed packages
included: none may fail or report a span outside the text. Then the time of each check on 8 KB, and how it grows
to 64 KB and 1 MB, kind by kind. Exit code 1 unless nothing broke; a bar of time that is missed is printed, and is no
error. Of tiered checks the first look is taken at every text. Times are CPU of this process.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from time import process_time

from rich.console import Console

from benchmarks import report
from benchmarks.bars import Bar
from benchmarks.figures import percentiles
from benchmarks.fuzz_texts import KINDS, fuzzed
from customhouse.contracts.governance import Direction, Finding
from customhouse.governance.checks.base import Passage
from customhouse.governance.checks.registry import builtin_checks
from customhouse.governance.checks.suite import AnyCheck, run
from customhouse.governance.policy import Limits, builtin_policy
from workers.installed_checks import installed_checks

SIDES = (Direction.INPUT, Direction.OUTPUT)

SMALL, MEDIUM, LARGE = 8_192, 65_536, 1_048_576
"""Characters."""

P99_LIMIT_MS, GROWTH_LIMIT = 50.0, 2.0
"""At 8 KB; and times as much as the text has grown by."""

FLOOR_S = 0.0005
"""What takes less than this is not compared: it would compare the clock."""


@dataclass(frozen=True, slots=True)
class Plan:
    texts: int
    timed: int
    """Texts of 8 KB."""
    is_large: bool
    """Whether texts of 1 MB are measured."""


FULL = Plan(texts=50_000, timed=2_000, is_large=True)
QUICK = Plan(texts=1_000, timed=200, is_large=False)


@dataclass(frozen=True, slots=True)
class Breakage:
    """A text that broke a check; `fuzzed(seed, size)` makes it again."""

    check: str
    side: Direction
    kind: str
    seed: int
    size: int
    what: str


@dataclass(frozen=True, slots=True)
class Growth:
    """Seconds of one check on one kind of text, at each size."""

    check: str
    kind: str
    seconds: tuple[float, ...]

    @property
    def worst(self) -> float:
        """The largest step in time over that in size."""
        sizes = (SMALL, MEDIUM, LARGE)
        return max(
            (late / max(early, FLOOR_S)) / (sizes[step + 1] / sizes[step])
            for step, (early, late) in enumerate(zip(self.seconds, self.seconds[1:], strict=False))
        )


def breakages(checks: Sequence[AnyCheck], seed: int, size: int) -> list[Breakage]:
    """What one text does to every check, as part of a request and of an answer."""
    kind, text = fuzzed(seed, size)
    return [
        Breakage(check.name, side, kind, seed, size, what)
        for check in checks
        for side in SIDES
        for what in _complaints(_look(check, text, side), text)
    ]


def _look(check: AnyCheck, text: str, side: Direction) -> list[Finding]:
    """All findings on one text; on the request's side also as what a tool returned."""
    if not any(direction.side is side for direction in check.directions):
        return []
    passages = [Passage("p", text, "user")]
    if side is Direction.INPUT:
        passages.append(Passage("q", text, "tool", is_untrusted=True))
    return run(check, passages, side).findings


def _complaints(findings: Sequence[Finding], text: str) -> list[str]:
    failures = [finding.explanation for finding in findings if finding.is_failure]
    outside = [
        f"a span from {span.start} to {span.end} in {len(text)} characters"
        for span in (finding.span for finding in findings)
        if span is not None and not 0 <= span.start < span.end <= len(text)
    ]
    return failures + outside


def _sizes(count: int) -> Sequence[int]:
    """From 1 to 8 KB, every order of magnitude alike."""
    chance = random.Random(1)
    return [int(SMALL ** chance.random()) for _ in range(count)]


def _seconds(check: AnyCheck, text: str, side: Direction = Direction.INPUT) -> float:
    passages = [Passage("p", text, "user")]
    started = process_time()
    run(check, passages, side)
    return process_time() - started


def _growths(checks: Sequence[AnyCheck], plan: Plan) -> list[Growth]:
    sizes = (SMALL, MEDIUM, LARGE) if plan.is_large else (SMALL, MEDIUM)
    measured: list[Growth] = []
    for kind, make in KINDS.items():
        texts = [[make(random.Random(seed), size) for seed in range(1 if size > MEDIUM else 4)] for size in sizes]
        measured += [Growth(check.name, kind, tuple(_slowest(check, each) for each in texts)) for check in checks]
    return measured


def _slowest(check: AnyCheck, texts: Sequence[str]) -> float:
    """Of several texts, for a small one may by chance hold nothing to look at; each the quickest of a few times, for
    what else the machine does only adds.
    """
    return max(min(_seconds(check, text) for _ in range(1 if len(text) > MEDIUM else 3)) for text in texts)


def growth_rows(growths: Sequence[Growth], *, shown: int = 8) -> Sequence[Sequence[str]]:
    """The kinds that grow most and those that take longest, check by check."""
    rows = []
    for check in dict.fromkeys(growth.check for growth in growths):
        own = [growth for growth in growths if growth.check == check]
        slow = sorted(own, key=lambda growth: growth.seconds[-1], reverse=True)[:shown]
        steep = sorted(own, key=lambda growth: growth.worst, reverse=True)[:shown]
        rows += [
            (f"{check}, {growth.kind}", *(report.number(s * 1000) for s in growth.seconds), report.number(growth.worst))
            for growth in dict.fromkeys([*slow, *steep])
        ]
    return rows


def main(plan: Plan, printer: Console) -> int:
    checks = list(builtin_checks(builtin_policy(limits=Limits(max_prompt_chars=2 * LARGE)), more=installed_checks()))
    printer.print(f"Checks: {', '.join(check.name for check in checks)}. Texts: {plan.texts}.")
    broken: list[Breakage] = []
    for seed, size in enumerate(_sizes(plan.texts)):
        broken += breakages(checks, seed, size)
    for breakage in broken[:20]:
        printer.print(str(breakage), markup=False)

    texts = [fuzzed(seed, SMALL)[1] for seed in range(plan.texts, plan.texts + plan.timed)]
    timed = {
        (check.name, side): percentiles([_seconds(check, text, side) for text in texts])
        for check in checks
        for side in SIDES
        if any(direction.side is side for direction in check.directions)
    }
    rows = [
        (f"{name}, {side}", *(report.number(value) for value in (each.p50, each.p95, each.p99)))
        for (name, side), each in timed.items()
    ]
    printer.print(report.table("On 8 KB", ("check", "p50 ms", "p95", "p99"), rows))

    growths = _growths(checks, plan)
    columns = (
        "check, kind of text",
        "8 KB ms",
        "64 KB",
        *(["1 MB"] if plan.is_large else []),
        "worst step, of the size's",
    )
    printer.print(report.table("How it grows", columns, growth_rows(growths)))

    bars = [
        Bar("texts that broke a check", len(broken), 0),
        *(
            Bar(f"p99 of {name} at 8 KB, {side}", each.p99, P99_LIMIT_MS, unit="ms")
            for (name, side), each in timed.items()
        ),
        *(
            Bar(
                f"growth of {check.name}, of the text's",
                max(growth.worst for growth in growths if growth.check == check.name),
                GROWTH_LIMIT,
                unit="times",
            )
            for check in checks
        ),
    ]
    result = {
        "texts": plan.texts,
        "broken": broken,
        "ms_at_8_kb": {f"{name} {side}": each for (name, side), each in timed.items()},
        "growth": growths,
    }
    report.finish("fuzz", printer, result, bars)
    return 1 if broken else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fuzz", description="Whether any text breaks a check, or costs one too much."
    )
    parser.add_argument("--quick", action="store_true", help="1,000 texts, and none of 1 MB")
    options = parser.parse_args()
    sys.exit(main(QUICK if options.quick else FULL, report.console()))
