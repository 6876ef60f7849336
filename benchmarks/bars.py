"""What is wanted of a figure, and whether it is met. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure that must not be above (or below) its limit."""

    name: str
    measured: float
    limit: float
    sense: Literal["at most", "at least", "below"] = "at most"
    unit: str = ""

    @property
    def is_met(self) -> bool:
        """NaN, where nothing was measured, meets nothing."""
        if self.sense == "at most":
            return self.measured <= self.limit
        return self.measured >= self.limit if self.sense == "at least" else self.measured < self.limit

    @property
    def word(self) -> str:
        return "PASS" if self.is_met else "FAIL"
