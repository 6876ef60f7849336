"""Fixtures of the provider tests: a local provider, and our two clients to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from customhouse.contracts.catalog import Deployment, Provider
from customhouse.contracts.chat import ChatRequest, Json
from customhouse.integrations.providers.anthropic import AnthropicProvider
from customhouse.integrations.providers.base import ChatProvider, ProviderCall
from customhouse.integrations.providers.http import provider_http_client
from customhouse.integrations.providers.openai import OpenAIProvider
from tests.integrations.providers.server import Upstream, running_upstream

KEY = "sk-test-0123456789abcdef"

MakeCall = Callable[..., ProviderCall]


@pytest.fixture(scope="session")
async def http_client() -> AsyncIterator[httpx.AsyncClient]:
    client = provider_http_client()
    yield client
    await client.aclose()


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with running_upstream() as server:
        yield server


@pytest.fixture
def openai_provider(upstream: Upstream, http_client: httpx.AsyncClient) -> ChatProvider:
    config = Provider.model_validate(
        {"name": "acme", "kind": "openai", "base_url": f"{upstream.url}/v1", "api_key_env": "ACME_KEY"}
    )
    return OpenAIProvider(config, KEY, http_client)


@pytest.fixture
def anthropic_provider(upstream: Upstream, http_client: httpx.AsyncClient) -> ChatProvider:
    config = Provider.model_validate(
        {"name": "claude", "kind": "anthropic", "base_url": upstream.url, "api_key_env": "CLAUDE_KEY"}
    )
    return AnthropicProvider(config, KEY, http_client)


@pytest.fixture
def make_call() -> MakeCall:
    def make(
        *, stream: bool = False, timeout_s: float = 10, model: str = "upstream-model", **fields: object
    ) -> ProviderCall:
        body: Json = {"model": "asked-model", "messages": [{"role": "user", "content": "Say hello."}], **fields}
        return ProviderCall(
            deployment=Deployment(model="asked-model", provider="acme", upstream_model=model),
            request=ChatRequest.model_validate(body),
            stream=stream,
            timeout_s=timeout_s,
        )

    return make


@pytest.fixture(params=["openai", "anthropic"])
def provider(
    request: pytest.FixtureRequest, openai_provider: ChatProvider, anthropic_provider: ChatProvider
) -> ChatProvider:
    return openai_provider if request.param == "openai" else anthropic_provider


@pytest.fixture(params=[False, True], ids=["whole", "stream"])
def stream(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)
