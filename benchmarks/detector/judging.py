"""Texts through the product's own detector, timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Protocol

from customhouse.governance.abuse.detector import AbuseDetector, Judgement

WARM_UP = 5
"""Texts judged before the clock counts: what is cold is not what is measured."""

NOTHING: frozenset[str] = frozenset()


class Detector(Protocol):
    @property
    def version(self) -> str: ...

    def judge(self, text: str, *, untrusted: bool = False, without: frozenset[str] = NOTHING) -> Judgement: ...


@dataclass(frozen=True, slots=True)
class Scored:
    probability: float
    flagged: bool
    category: str | None
    is_deep: bool
    """The deep tier was asked."""
    seconds: float
    cpu_seconds: float
    """Of this thread."""


def judge_all(detector: Detector, texts: Sequence[str], without: frozenset[str] = NOTHING) -> list[Scored]:
    """One text after the other, on this thread."""
    for text in texts[:WARM_UP]:
        detector.judge(text, without=without)
    return [_judge(detector, text, without) for text in texts]


def judge_in(
    processes: int, texts: Sequence[str], without: frozenset[str] = NOTHING, *, load: Callable[[], Detector]
) -> list[Scored]:
    """The same from several processes, each with a detector of its own. Their times hinder one another: not for show.

    `load` is called in each process, so it must be a function of a module.
    """
    parts = [texts[number::processes] for number in range(processes)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        answers = list(pool.map(_judge_part, [load] * processes, parts, [without] * processes))
    scored: list[Scored | None] = [None] * len(texts)
    for number, part in enumerate(answers):
        scored[number::processes] = part
    return [each for each in scored if each is not None]


def load_shipped() -> Detector:
    """The model that ships with the product."""
    return AbuseDetector.load()


def _judge_part(load: Callable[[], Detector], texts: Sequence[str], without: frozenset[str]) -> list[Scored]:
    return judge_all(load(), texts, without)


def _judge(detector: Detector, text: str, without: frozenset[str]) -> Scored:
    clock, cpu = time.perf_counter(), time.thread_time()
    judged = detector.judge(text, without=without)
    spent, used = time.perf_counter() - clock, time.thread_time() - cpu
    is_deep = "deep" in judged.layers
    return Scored(judged.probability, judged.flagged, judged.category, is_deep, spent, used)
