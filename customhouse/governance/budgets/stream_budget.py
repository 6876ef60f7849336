"""How far a stream may go on what is held for it: counts what it writes, and says when more must be held."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from customhouse.contracts.chat import Json
from customhouse.governance.budgets.worst_case import DEFAULT_OUTPUT_TOKENS, WorstCase
from customhouse.governance.delta_texts import delta_texts
from customhouse.governance.tokens import estimate_tokens


@dataclass(slots=True)
class StreamBudget:
    """Of one attempt whose answer nobody bounds."""

    covered_tokens: int
    """Held for."""
    step_usd: Decimal
    """What the next step costs at worst."""
    step_tokens: int = DEFAULT_OUTPUT_TOKENS
    written_tokens: int = field(default=0, init=False)
    """Estimated, chunk by chunk: rounded up each time, so too high rather than too low."""

    @classmethod
    def of(cls, worst: WorstCase) -> StreamBudget:
        return cls(worst.output_tokens, worst.step_usd)

    def write(self, chunk: Json) -> bool:
        """Count a chunk of the answer. Whether more must be held before it may go on."""
        self.written_tokens += sum(estimate_tokens(text) for text in delta_texts(chunk))
        return self.written_tokens > self.covered_tokens

    def extended(self) -> None:
        """Another step is held."""
        self.covered_tokens += self.step_tokens
