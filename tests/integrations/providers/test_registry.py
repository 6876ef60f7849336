from __future__ import annotations

import httpx
import pytest

from customhouse.contracts.catalog import Catalog, Deployment
from customhouse.contracts.errors import ConfigurationError
from customhouse.integrations.providers.anthropic import AnthropicProvider
from customhouse.integrations.providers.openai import OpenAIProvider
from customhouse.integrations.providers.registry import Providers
from tests.integrations.providers import wire_openai as wire
from tests.integrations.providers.calling import answer_of
from tests.integrations.providers.conftest import MakeCall
from tests.integrations.providers.server import Upstream


def catalog(base_url: str = "http://127.0.0.1:1/v1") -> Catalog:
    return Catalog.model_validate(
        {
            "providers": [
                {"name": "acme", "kind": "openai", "base_url": base_url, "api_key_env": "ACME_KEY"},
                {"name": "claude", "kind": "anthropic", "base_url": base_url},
            ],
            "deployments": [{"model": "m", "provider": "acme"}, {"model": "c", "provider": "claude"}],
        }
    )


def test_one_of_the_right_kind_for_each_provider(http_client: httpx.AsyncClient) -> None:
    made = catalog()
    providers = Providers(made, {}, http_client)
    first, second = (providers.for_deployment(deployment) for deployment in made.deployments)
    assert isinstance(first, OpenAIProvider)
    assert isinstance(second, AnthropicProvider)
    assert providers.for_deployment(made.deployments[0]) is first


@pytest.mark.parametrize(
    ("environ", "sent"),
    [({"ACME_KEY": " k-123\n"}, "Bearer k-123"), ({"ACME_KEY": ""}, None), ({}, None), ({"OTHER": "k"}, None)],
)
async def test_the_key_comes_from_the_environment(
    upstream: Upstream,
    http_client: httpx.AsyncClient,
    make_call: MakeCall,
    environ: dict[str, str],
    sent: str | None,
) -> None:
    upstream.answers(wire.whole())
    made = catalog(f"{upstream.url}/v1")
    await answer_of(Providers(made, environ, http_client).for_deployment(made.deployments[0]), make_call())
    assert upstream.seen[0].headers.get("authorization") == sent


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel"])
def test_a_key_that_is_none_is_refused_without_being_shown(http_client: httpx.AsyncClient, key: str) -> None:
    with pytest.raises(ConfigurationError, match="ACME_KEY") as caught:
        Providers(catalog(), {"ACME_KEY": key}, http_client)
    assert key not in caught.value.message


def test_an_unknown_provider(http_client: httpx.AsyncClient) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere.*acme, claude"):
        Providers(catalog(), {}, http_client).for_deployment(Deployment(model="m", provider="nowhere"))
