"""The catalog: providers and the deployments at them. Read from `catalog.yaml` by `governance/catalog.py`."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, HttpUrl

Name = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$")]


class Capability(StrEnum):
    """What a deployment can do beyond text."""

    TOOLS = "tools"
    IMAGES = "images"
    JSON_SCHEMA = "json_schema"
    STREAMING = "streaming"


class Price(BaseModel):
    """US dollars a million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input_per_mtok: Annotated[Decimal, Field(ge=0)]
    output_per_mtok: Annotated[Decimal, Field(ge=0)]
    cached_input_per_mtok: Annotated[Decimal, Field(ge=0)] | None = None
    cache_write_per_mtok: Annotated[Decimal, Field(ge=0)] | None = None


class Provider(BaseModel):
    """A place that answers: an API with one base URL and one key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    kind: Literal["openai", "anthropic"]
    """`openai`: any OpenAI-compatible endpoint. `anthropic`: the Messages API."""
    base_url: HttpUrl
    api_key_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    """Name of the environment variable that holds the key; never the key itself."""
    requires_key: bool = False
    """Leave this provider's deployments out while its key is not set (the default catalog's cloud providers)."""
    enabled_if: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    """Leave this provider's deployments out while this environment variable is unset (the default catalog's local
    model, which only the embedded stack starts)."""
    price_provider: str | None = None
    """Provider id at genai-prices, where it differs from `name`."""
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 600
    """Seconds one attempt may take in all."""


class Deployment(BaseModel):
    """One model at one provider in one region."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Name
    """The name that callers ask for."""
    provider: Name
    region: Name = "global"
    upstream_model: str | None = None
    """The model's name at the provider, where it differs from `model`."""
    context_window: Annotated[int, Field(gt=0)] = 128_000
    """Tokens, prompt and answer together."""
    max_output_tokens: Annotated[int, Field(gt=0)] | None = None
    capabilities: frozenset[Capability] = frozenset(
        {Capability.TOOLS, Capability.IMAGES, Capability.JSON_SCHEMA, Capability.STREAMING}
    )
    price: Price | None = None
    task_queue: Name | None = None
    """Own Temporal task queue: its attempts are made only by workers that serve this queue."""
    lane: Literal["auto", "local", "regular"] = "auto"

    @property
    def id(self) -> str:
        return f"{self.model}@{self.provider}@{self.region}"

    @property
    def name_at_provider(self) -> str:
        return self.upstream_model or self.model


class Catalog(BaseModel):
    """All providers and deployments, in the order in which they are preferred."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    providers: tuple[Provider, ...]
    deployments: tuple[Deployment, ...]

    def provider(self, name: str) -> Provider:
        """Raises KeyError for a name that the catalog does not have (validation makes sure deployments never do)."""
        for provider in self.providers:
            if provider.name == name:
                return provider
        raise KeyError(name)

    def deployment(self, deployment_id: str) -> Deployment | None:
        return next((d for d in self.deployments if d.id == deployment_id), None)

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(d.model for d in self.deployments))
