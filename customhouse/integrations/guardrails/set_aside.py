"""Validators that hang again and again are not waited for on every call."""

from __future__ import annotations

import threading
from collections.abc import Callable

from customhouse.contracts.timing import VALIDATOR_SET_ASIDE

HANGS = 3
"""In a row, before a validator is set aside."""


class SetAside:
    """Which rules are set aside. When the time is over a rule has one try, and one more hang sets it aside again."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._hangs: dict[int, int] = {}
        self._until: dict[int, float] = {}

    def has(self, rule: int) -> bool:
        with self._lock:
            until = self._until.get(rule)
            if until is None:
                return False
            if self._clock() < until:
                return True
            # For others it stays aside until the one that tries it has seen.
            self._until[rule] = self._clock() + VALIDATOR_SET_ASIDE.total_seconds()
            return False

    def hung(self, rule: int) -> None:
        with self._lock:
            self._hangs[rule] = self._hangs.get(rule, 0) + 1
            if self._hangs[rule] >= HANGS:
                self._until[rule] = self._clock() + VALIDATOR_SET_ASIDE.total_seconds()

    def answered(self, rule: int) -> None:
        if rule in self._hangs:
            with self._lock:
                self._hangs.pop(rule, None)
                self._until.pop(rule, None)
