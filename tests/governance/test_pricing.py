from __future__ import annotations

import socket
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from customhouse.contracts.catalog import Catalog, Deployment, Price, Provider
from customhouse.contracts.chat import Usage
from customhouse.governance.pricing import UNPRICED, Pricer

NOW = datetime(2026, 8, 1, tzinfo=UTC)


def catalog(price: Price | None = None, model: str = "gpt-4o-mini", **provider: Any) -> Catalog:
    settings = {"name": "openai", "kind": "openai", "base_url": "https://api.openai.com/v1", **provider}
    return Catalog(
        providers=(Provider(**settings),),
        deployments=(Deployment(model=model, provider=settings["name"], price=price),),
    )


def cost(known: Catalog, usage: Usage) -> Decimal | None:
    return Pricer(known).price(known.deployments[0], usage, NOW).usd_cost


def used(prompt: int, completion: int, **details: int) -> Usage:
    return Usage(prompt_tokens=prompt, completion_tokens=completion, prompt_tokens_details=details)


def test_the_catalogs_price_comes_first() -> None:
    known = catalog(Price(input_per_mtok=Decimal(1), output_per_mtok=Decimal(2)))
    priced = Pricer(known).price(known.deployments[0], used(1000, 500), NOW)
    assert (priced.usd_cost, priced.source) == (Decimal("0.002"), "catalog")


def test_cached_and_written_tokens_have_their_own_price_or_the_inputs() -> None:
    usage = used(1000, 0, cached_tokens=600, cache_write_tokens=100)
    plain = Price(input_per_mtok=Decimal(10), output_per_mtok=Decimal(0))
    assert cost(catalog(plain), usage) == Decimal("0.01")
    full = plain.model_copy(update={"cached_input_per_mtok": Decimal(1), "cache_write_per_mtok": Decimal(20)})
    assert cost(catalog(full), usage) == Decimal("0.0056")


def test_genai_prices_knows_the_rest() -> None:
    known = catalog()
    priced = Pricer(known).price(known.deployments[0], used(1_000_000, 1_000_000, cached_tokens=500_000), NOW)
    assert priced.usd_cost == Decimal("0.15") / 2 + Decimal("0.075") / 2 + Decimal("0.6")
    assert priced.source is not None
    assert priced.source.startswith("genai-prices ")


def test_a_provider_is_known_by_another_name_or_by_its_address() -> None:
    million = used(1_000_000, 0)
    assert cost(catalog(name="mine", price_provider="openai", base_url="http://127.0.0.1:1/v1"), million)
    assert cost(catalog(name="mine"), million) == Decimal("0.15")


def test_an_unknown_price_is_none_and_never_nought() -> None:
    for known in (catalog(name="mock", base_url="http://127.0.0.1:1/v1"), catalog(model="no-such-model")):
        assert Pricer(known).price(known.deployments[0], used(1000, 1000), NOW) == UNPRICED


def test_nothing_used_costs_nothing() -> None:
    assert cost(catalog(), used(0, 0)) == 0


def test_counts_that_make_no_sense_are_not_paid_twice() -> None:
    price = Price(input_per_mtok=Decimal(1), output_per_mtok=Decimal(1), cached_input_per_mtok=Decimal(0))
    assert cost(catalog(price), used(100, -5, cached_tokens=900)) == 0
    assert cost(catalog(), used(100, 0, cached_tokens=900)) is not None


def test_costs_fit_the_ledgers_resolution() -> None:
    price = Price(input_per_mtok=Decimal("0.00001"), output_per_mtok=Decimal(0))
    assert cost(catalog(price), used(3, 0)) == Decimal("0E-10")
    assert cost(catalog(price), used(15, 0)) == Decimal("0.0000000002")


def test_an_estimate_is_priced_like_a_call_without_cache() -> None:
    known = catalog()
    pricer = Pricer(known)
    assert pricer.estimate(known.deployments[0], 1000, 10, NOW) == pricer.price(
        known.deployments[0], used(1000, 10), NOW
    )


def test_prices_never_go_to_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked for")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert cost(catalog(), used(10, 10)) is not None
