"""What GuardrailsAI's validators add to a call: `python -m benchmarks.guardrails [RULES.yaml]`.

Measured is `inspect`, as a thread of the inspector calls it: to the validators' process and back. With a file, each of
its rules is measured by itself, too.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks.bars import Bar
from benchmarks.figures import Percentiles, growth, percentiles
from benchmarks.report import console, finish, number, table
from customhouse.contracts.governance import Direction
from customhouse.governance.checks.base import Passage
from customhouse.governance.validators import GuardrailsSettings
from customhouse.integrations.guardrails.check import GuardrailsCheck
from customhouse.integrations.guardrails.pool import Pool
from customhouse.integrations.guardrails.process import ValidatorsProcess
from customhouse.integrations.guardrails.settings import read_rules

PROSE = (
    "The committee met on Tuesday to discuss the budget for the coming year, and agreed to meet again in spring. " * 5
)
"""100 words."""

OBJECT = '{"name": "Ann", "age": 33, "town": "Lisbon"}'

NAMES = ("one", "two", "three", "four", "five")

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}, "town": {"type": "string"}},
    "required": ["name"],
}

WARM, CALLS, LONG_RUN = 200, 2_000, 10_000

MEMORY_CALLS = (1_000, LONG_RUN)
"""Between these two the memory of the validators' process must not grow."""


def main() -> None:
    printer = console()
    own = [{"validator": f"benchmark/{name}", "module": "benchmarks.guardrails_own"} for name in NAMES]
    guard = {
        "output_schema": {"type": "string"},
        "validators": [{"id": f"benchmark/{name}", "on": "$", "onFail": "noop"} for name in NAMES],
    }
    began = time.perf_counter()
    results: dict[str, Percentiles] = {}
    with _loaded(own[:1]) as inspect:
        load_s = time.perf_counter() - began
        results["1 validator"] = _measured(inspect, PROSE)
    with _loaded(own) as inspect:
        results["5 validators"] = _measured(inspect, PROSE)
        memory_mb = _memory(inspect, PROSE)
    with _loaded([{"guard": guard, "module": "benchmarks.guardrails_own"}]) as inspect:
        results["the same 5 by Guard.parse"] = _measured(inspect, PROSE)
    with _loaded([{"json_schema": SCHEMA}]) as inspect:
        results["JSON schema by Guard.parse"] = _measured(inspect, OBJECT)
        guard_memory_mb = _memory(inspect, OBJECT)
    copies_ms = _copies(own)
    for name, rules in _given(sys.argv[1:]):
        with _loaded(rules) as inspect:
            results[name] = _measured(inspect, PROSE, calls=100)

    rows = [(name, number(each.p50), number(each.p95), number(each.p99)) for name, each in results.items()]
    printer.print(table("GuardrailsAI, ms for a text of 100 words", ("what", "p50", "p95", "p99"), rows))
    bars = [
        Bar("1 validator, p50", results["1 validator"].p50, 0.5, unit="ms"),
        Bar("5 validators, p50", results["5 validators"].p50, 0.5, unit="ms"),
        Bar("new process in place of one that hung, p50", copies_ms.p50, 50, unit="ms"),
        Bar(f"memory after {LONG_RUN} calls, growth", growth(memory_mb), 0.02),
        Bar(f"memory after {LONG_RUN} calls of a Guard, growth", growth(guard_memory_mb), 0.02),
    ]
    result = {
        "ms": results,
        "load_s": load_s,
        "copy_ms": copies_ms,
        "memory_mb": memory_mb,
        "guard_memory_mb": guard_memory_mb,
    }
    finish("guardrails", printer, result, bars)


Inspect = Callable[[str], None]


@contextmanager
def _loaded(rules: list[dict[str, Any]]) -> Iterator[Inspect]:
    settings = GuardrailsSettings.model_validate({"rules": rules, "deadline_ms": 60_000})
    pool = Pool(lambda: ValidatorsProcess(settings, os.environ), settings.processes)
    check = GuardrailsCheck(settings, pool)

    def inspect(text: str) -> None:
        found = check.inspect(Passage("choices.0.message.content", text, "assistant"), Direction.OUTPUT)
        if any(finding.is_failure for finding in found):
            raise SystemExit(f"a validator did not look: {found[0].explanation}")

    try:
        yield inspect
    finally:
        check.close()


def _measured(inspect: Inspect, text: str, calls: int = CALLS) -> Percentiles:
    for _ in range(min(WARM, calls)):
        inspect(text)
    samples = []
    for _ in range(calls):
        began = time.perf_counter()
        inspect(text)
        samples.append(time.perf_counter() - began)
    return percentiles(samples)


def _memory(inspect: Inspect, text: str) -> list[float]:
    """Private memory of the process that judges, in MB (10^6), at the counts of MEMORY_CALLS."""
    (loader,) = psutil.Process().children()
    (judging,) = loader.children()
    readings, done = [], 0
    for count in MEMORY_CALLS:
        for _ in range(count - done):
            inspect(text)
        done = count
        readings.append(judging.memory_full_info().uss / 1e6)
    return readings


def _copies(rules: list[dict[str, Any]]) -> Percentiles:
    settings = GuardrailsSettings.model_validate({"rules": rules})
    process = ValidatorsProcess(settings, os.environ)
    samples = []
    for _ in range(50):
        began = time.perf_counter()
        copy = process.copy()
        samples.append(time.perf_counter() - began)
        copy.kill()
    process.close()
    return percentiles(samples)


def _given(arguments: list[str]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for argument in arguments:
        for rule in read_rules(Path(argument)).settings.rules:
            yield rule.name, [{**rule.model_dump(exclude_defaults=True), "directions": ["output"]}]


if __name__ == "__main__":
    main()
