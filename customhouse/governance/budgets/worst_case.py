"""The worst that an attempt may cost: what is held of every budget that applies before the provider is called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from customhouse.contracts.catalog import Catalog, Deployment
from customhouse.contracts.chat import ChatRequest
from customhouse.contracts.invocation import Repair, RouteStep
from customhouse.governance.pricing import Pricer
from customhouse.governance.tokens import TOKENS_PER_MESSAGE, estimate_tokens

DEFAULT_OUTPUT_TOKENS = 4096
"""Held for an answer that neither the caller nor the catalog bounds; also the step by which a longer stream gets more.
What Anthropic is asked for in that case."""

PROMPT_MARGIN = Decimal("1.25")
"""A prompt's tokens are estimated, and may be a quarter more (`governance/tokens.py`)."""


@dataclass(frozen=True, slots=True)
class WorstCase:
    """The worst of one attempt."""

    prompt_tokens: int
    output_tokens: int
    """Of all choices together."""
    is_bounded: bool
    """Whether the provider itself stops there; otherwise a longer stream needs more (`StreamBudget`)."""
    usd: Decimal | None
    """At the dearest deployment that the route has; None where the attempt's own has no known price."""
    step_usd: Decimal
    """What DEFAULT_OUTPUT_TOKENS more cost there."""


class WorstCases:
    """Computes them. Cheap: a price or two."""

    def __init__(self, catalog: Catalog, pricer: Pricer) -> None:
        self._deployments = {deployment.id: deployment for deployment in catalog.deployments}
        self._pricer = pricer

    def of(
        self,
        step: RouteStep,
        route: Sequence[RouteStep],
        request: ChatRequest,
        prompt_tokens: int,
        at: datetime,
        repair: Repair | None = None,
    ) -> WorstCase:
        """For an attempt at `step` of the frozen `route`. `prompt_tokens`: estimated, of the request alone."""
        prompt = prompt_tokens if repair is None else prompt_tokens + _tokens_of(repair)
        prompt = int((prompt * PROMPT_MARGIN).to_integral_value(rounding="ROUND_CEILING"))
        own = self._deployments.get(step.deployment_id)
        others = (self._deployments.get(s.deployment_id) for s in route if s.deployment_id != step.deployment_id)
        choices = request.n or 1
        dearest, step_usd = None, Decimal(0)
        output, is_bounded = DEFAULT_OUTPUT_TOKENS * choices, False
        if own is not None:
            limit, is_bounded = _output_limit(own, request)
            output = limit * choices
            dearest = self._pricer.estimate(own, prompt, output, at).usd_cost
            step_usd = self._pricer.estimate(own, 0, DEFAULT_OUTPUT_TOKENS, at).usd_cost or step_usd
        if dearest is not None:
            for other in others:
                if other is None:
                    continue
                theirs = self._pricer.estimate(other, prompt, _output_limit(other, request)[0] * choices, at).usd_cost
                dearest = max(dearest, theirs) if theirs is not None else dearest
        return WorstCase(prompt, output, is_bounded, dearest, step_usd)


def _output_limit(deployment: Deployment, request: ChatRequest) -> tuple[int, bool]:
    """Tokens of one choice, and whether the provider stops there by itself."""
    asked = request.max_completion_tokens or request.max_tokens
    limit = asked or deployment.max_output_tokens
    if limit is None:
        return min(DEFAULT_OUTPUT_TOKENS, deployment.context_window), False
    return min(limit, deployment.context_window), True


def _tokens_of(repair: Repair) -> int:
    return estimate_tokens(repair.answer) + estimate_tokens(repair.complaint) + 2 * TOKENS_PER_MESSAGE
