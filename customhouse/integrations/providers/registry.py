"""All providers of a catalog, ready to be called."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from customhouse.contracts.catalog import Catalog, Deployment, Provider
from customhouse.contracts.errors import ConfigurationError
from customhouse.integrations.providers.anthropic import AnthropicProvider
from customhouse.integrations.providers.base import ChatProvider
from customhouse.integrations.providers.openai import OpenAIProvider


class Providers:
    """Makes each provider once, with its key out of the environment."""

    def __init__(self, catalog: Catalog, environ: Mapping[str, str], client: httpx.AsyncClient) -> None:
        """Raises ConfigurationError for a key that cannot be sent in a header."""
        self._providers = {p.name: _make(p, _key(p, environ), client) for p in catalog.providers}

    def for_deployment(self, deployment: Deployment) -> ChatProvider:
        """Raises ConfigurationError for a provider that the catalog does not have."""
        try:
            return self._providers[deployment.provider]
        except KeyError:
            raise ConfigurationError(
                f"Deployment {deployment.id} names the provider {deployment.provider}, which the catalog does not "
                f"have; it has {', '.join(sorted(self._providers)) or 'none'}."
            ) from None


def _make(provider: Provider, key: str | None, client: httpx.AsyncClient) -> ChatProvider:
    if provider.kind == "anthropic":
        return AnthropicProvider(provider, key, client)
    return OpenAIProvider(provider, key, client)


def _key(provider: Provider, environ: Mapping[str, str]) -> str | None:
    """The key, or None: then no key is sent, which servers on the own machine are content with."""
    key = environ.get(provider.api_key_env, "").strip() if provider.api_key_env else ""
    if not all("!" <= character <= "~" for character in key):
        raise ConfigurationError(
            f"The environment variable {provider.api_key_env} (key of provider {provider.name}) holds characters that "
            "no API key has, such as spaces, line breaks or non-ASCII letters. Set it to the key alone."
        )
    return key or None
