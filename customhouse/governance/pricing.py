"""What an attempt costs: the catalog's own price first, then genai-prices; an unknown price is None, never 0."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import genai_prices
from genai_prices import types as prices
from genai_prices.data_snapshot import get_snapshot

from customhouse.contracts.catalog import Catalog, Deployment, Price, Provider
from customhouse.contracts.chat import Usage

_MTOK = Decimal(1_000_000)
_STEP = Decimal("1e-10")
"""The ledger's resolution (`storage/models`): what is returned is what will be stored."""


@dataclass(frozen=True, slots=True)
class Priced:
    """US dollars, and where the price came from. Both None where the price is not known."""

    usd_cost: Decimal | None
    source: str | None


UNPRICED = Priced(None, None)


@dataclass(frozen=True, slots=True)
class _Listed:
    """A model as genai-prices lists it."""

    provider: prices.Provider
    model: prices.ModelInfo


class Pricer:
    """Looks every deployment's price up once; pricing an attempt is then arithmetic. Never goes to the network."""

    def __init__(self, catalog: Catalog) -> None:
        self._source = f"genai-prices {genai_prices.__version__}"
        self._listed = {
            deployment.id: listed
            for deployment in catalog.deployments
            if deployment.price is None
            and (listed := _look_up(deployment, catalog.provider(deployment.provider))) is not None
        }

    def price(self, deployment: Deployment, usage: Usage, at: datetime) -> Priced:
        """The cost of one attempt. `at` picks the price where it depends on the date or the hour."""
        prompt, completion = max(usage.prompt_tokens, 0), max(usage.completion_tokens, 0)
        # A provider's cache counts are parts of the prompt; one that says otherwise is not paid twice.
        cached = min(max(usage.cached_tokens, 0), prompt)
        written = min(max(usage.cache_write_tokens, 0), prompt - cached)
        if deployment.price is not None:
            return Priced(_rounded(_by_catalog(deployment.price, prompt, cached, written, completion)), "catalog")
        listed = self._listed.get(deployment.id)
        if listed is None:
            return UNPRICED
        counted = prices.Usage(
            input_tokens=prompt, cache_read_tokens=cached, cache_write_tokens=written, output_tokens=completion
        )
        cost = listed.model.calc_price(counted, listed.provider, genai_request_timestamp=at).total_price
        return Priced(_rounded(cost), self._source)

    def estimate(self, deployment: Deployment, prompt_tokens: int, completion_tokens: int, at: datetime) -> Priced:
        """The cost of an attempt whose usage is not known, by estimated tokens and without any cache."""
        return self.price(deployment, Usage(prompt_tokens=prompt_tokens, completion_tokens=completion_tokens), at)


def _by_catalog(price: Price, prompt: int, cached: int, written: int, completion: int) -> Decimal:
    """Cached and written tokens cost the input price where the catalog gives none of their own."""
    cached_price = price.input_per_mtok if price.cached_input_per_mtok is None else price.cached_input_per_mtok
    write_price = price.input_per_mtok if price.cache_write_per_mtok is None else price.cache_write_per_mtok
    return (
        price.input_per_mtok * (prompt - cached - written)
        + cached_price * cached
        + write_price * written
        + price.output_per_mtok * completion
    ) / _MTOK


def _look_up(deployment: Deployment, provider: Provider) -> _Listed | None:
    """By the provider's name at genai-prices; failing that, by the address it is called at."""
    snapshot = get_snapshot()
    by_name: tuple[str | None, str | None] = (provider.price_provider or provider.name, None)
    by_address: tuple[str | None, str | None] = (None, str(provider.base_url))
    for provider_id, address in (by_name,) if provider.price_provider else (by_name, by_address):
        try:
            return _Listed(*snapshot.find_provider_model(deployment.name_at_provider, None, provider_id, address))
        except LookupError:
            continue
    return None


def _rounded(cost: Decimal) -> Decimal:
    exponent = cost.as_tuple().exponent
    return cost.quantize(_STEP) if isinstance(exponent, int) and exponent < -10 else cost
