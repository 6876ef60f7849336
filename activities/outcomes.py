"""What an attempt is charged with: by the provider's count where there is one, else by an estimate that says so."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from customhouse.contracts.catalog import Deployment
from customhouse.contracts.chat import ChatCompletion, Json, Usage
from customhouse.contracts.errors import ErrorRecord
from customhouse.contracts.invocation import AttemptStatus
from customhouse.governance.delta_texts import delta_texts
from customhouse.governance.pricing import Pricer
from customhouse.governance.tokens import estimate_completion_tokens, estimate_tokens
from customhouse.integrations.providers.answer import usage_of

_NOT_CHARGED = Decimal(0)

DEADLINE_PASSED = "deadline_passed"
"""Code of an attempt that was not made, because no time was left for it."""

_NEVER_REACHED = frozenset({"connection_failed", "connect_timeout", DEADLINE_PASSED})


@dataclass(slots=True)
class Seen:
    """What has come from the provider so far."""

    first_ms: float | None = None
    """Milliseconds to the first token."""
    released: bool = False
    """Whether anything has left for the caller."""
    usage: Usage | None = None
    texts: list[str] = field(default_factory=list)

    def chunk(self, chunk: Json, elapsed_ms: float) -> None:
        self.usage = usage_of(chunk.get("usage")) or self.usage
        self.texts += delta_texts(chunk)
        if self.first_ms is None and self.texts:
            self.first_ms = elapsed_ms


@dataclass(frozen=True, slots=True)
class Charge:
    usage: Usage | None
    estimated: bool
    usd_cost: Decimal | None
    price_source: str | None


class Costing:
    """Prices attempts, whatever they came to."""

    def __init__(self, pricer: Pricer) -> None:
        self._pricer = pricer

    def charge(
        self,
        deployment: Deployment,
        status: AttemptStatus,
        error: ErrorRecord | None,
        answer: ChatCompletion | None,
        seen: Seen,
        prompt_tokens: int,
        at: datetime,
    ) -> Charge:
        """An attempt that the provider refused, or that never reached it, costs nothing. Everything else costs what the
        provider counted or, where it counted nothing, what its text is estimated at.
        """
        counted = (answer.usage if answer is not None else None) or seen.usage
        if counted is None and _was_not_served(status, error, seen):
            return Charge(None, estimated=False, usd_cost=_NOT_CHARGED, price_source="not charged")
        usage = counted or _estimate(answer, seen, prompt_tokens)
        priced = self._pricer.price(deployment, usage, at)
        return Charge(usage, counted is None, priced.usd_cost, priced.source)


def _was_not_served(status: AttemptStatus, error: ErrorRecord | None, seen: Seen) -> bool:
    if status is not AttemptStatus.FAILED or error is None or seen.texts:
        return False
    return error.provider_status is not None or error.code in _NEVER_REACHED


def _estimate(answer: ChatCompletion | None, seen: Seen, prompt_tokens: int) -> Usage:
    completion = estimate_completion_tokens(answer) if answer is not None else estimate_tokens("".join(seen.texts))
    return Usage(prompt_tokens=prompt_tokens, completion_tokens=completion, total_tokens=prompt_tokens + completion)
