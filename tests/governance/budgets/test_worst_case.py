"""The worst that an attempt may cost is never less than what it comes to."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customhouse.contracts.catalog import Catalog, Deployment, Price, Provider
from customhouse.contracts.chat import ChatRequest, Usage
from customhouse.contracts.invocation import Lane, Repair, RouteStep
from customhouse.governance.budgets.worst_case import DEFAULT_OUTPUT_TOKENS, WorstCases
from customhouse.governance.pricing import Pricer

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def a_deployment(provider: str, usd: int | None = 1, **changes: Any) -> Deployment:
    price = None if usd is None else Price(input_per_mtok=Decimal(usd), output_per_mtok=Decimal(2 * usd))
    return Deployment.model_validate({"model": "m", "provider": provider, "price": price, **changes})


def cases(*deployments: Deployment) -> WorstCases:
    providers = tuple(
        Provider.model_validate({"name": d.provider, "kind": "openai", "base_url": f"http://{d.provider}.invalid"})
        for d in deployments
    )
    catalog = Catalog(providers=providers, deployments=deployments)
    return WorstCases(catalog, Pricer(catalog))


def a_step(deployment: Deployment) -> RouteStep:
    return RouteStep(
        deployment_id=deployment.id,
        model=deployment.model,
        provider=deployment.provider,
        region=deployment.region,
        lane=Lane.LOCAL,
        timeout_s=1,
        reason="",
    )


def ask(**changes: Any) -> ChatRequest:
    return ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "hi"}], **changes})


@pytest.mark.parametrize(
    ("asked", "deployment", "tokens", "is_bounded"),
    [
        ({"max_tokens": 10}, {}, 10, True),
        ({"max_completion_tokens": 7, "max_tokens": 10}, {}, 7, True),
        ({"max_tokens": 10, "n": 3}, {}, 30, True),
        ({}, {"max_output_tokens": 500}, 500, True),
        ({"max_tokens": 10}, {"max_output_tokens": 500}, 10, True),
        ({"max_tokens": 10**6}, {"context_window": 2000}, 2000, True),
        ({}, {}, DEFAULT_OUTPUT_TOKENS, False),
        ({"n": 2}, {}, 2 * DEFAULT_OUTPUT_TOKENS, False),
    ],
)
def test_the_answers_length(asked: dict[str, Any], deployment: dict[str, Any], tokens: int, is_bounded: bool) -> None:
    only = a_deployment("p", **deployment)
    worst = cases(only).of(a_step(only), [a_step(only)], ask(**asked), 100, NOW)
    assert (worst.output_tokens, worst.is_bounded) == (tokens, is_bounded)
    assert worst.usd == (Decimal(125) + 2 * tokens) / 10**6


def test_the_dearest_of_the_route_counts() -> None:
    cheap, dear = a_deployment("p", 1), a_deployment("q", 5)
    route = [a_step(cheap), a_step(dear)]
    both = cases(cheap, dear)
    assert both.of(route[0], route, ask(max_tokens=100), 0, NOW).usd == Decimal(1000) / 10**6
    assert both.of(route[0], route[:1], ask(max_tokens=100), 0, NOW).usd == Decimal(200) / 10**6


def test_what_has_no_price_is_not_free() -> None:
    known, unknown = a_deployment("p", 1), a_deployment("q", None, upstream_model="nobody-lists-this")
    route = [a_step(known), a_step(unknown)]
    both = cases(known, unknown)
    assert both.of(route[1], route, ask(), 0, NOW).usd is None
    assert both.of(route[0], route, ask(max_tokens=100), 0, NOW).usd == Decimal(200) / 10**6


def test_a_repair_reads_the_former_answer_too() -> None:
    only = a_deployment("p")
    repair = Repair(answer="a" * 4000, complaint="no")
    of = cases(only).of
    plain = of(a_step(only), [], ask(max_tokens=1), 100, NOW)
    assert of(a_step(only), [], ask(max_tokens=1), 100, NOW, repair).prompt_tokens > plain.prompt_tokens + 1000


@given(
    prompt=st.integers(0, 10**6),
    used=st.integers(0, 10**6),
    answered=st.integers(0, 1000),
    usd=st.integers(0, 100),
)
def test_no_attempt_within_its_bounds_costs_more(prompt: int, used: int, answered: int, usd: int) -> None:
    """Up to a quarter more prompt than was estimated, and as many tokens as were asked for."""
    only = a_deployment("p", usd)
    catalog = Catalog(providers=(), deployments=(only,))
    worst = cases(only).of(a_step(only), [a_step(only)], ask(max_tokens=1000), prompt, NOW)
    usage = Usage(prompt_tokens=min(used, prompt + prompt // 4), completion_tokens=answered)
    truth = Pricer(catalog).price(only, usage, NOW).usd_cost
    assert truth is not None
    assert worst.usd is not None
    assert truth <= worst.usd
