"""Probe of each provider in the catalog: does it answer, take the key, and have the models?"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import httpx

from customhouse.contracts.catalog import Catalog, Provider
from customhouse.integrations.providers.http import provider_http_client
from workers.doctor.finding import Finding, off, ok, warning, wrong

ANTHROPIC_VERSION = "2023-06-01"
"""Of the Messages API, and of its list of models."""
TIMEOUT_S = 10.0


async def probe_providers(catalog: Catalog, environ: Mapping[str, str]) -> list[Finding]:
    """`catalog`: what is switched on."""
    if not catalog.providers:
        return [off("providers", "the catalog has none that is switched on")]
    async with provider_http_client() as client:
        return list(
            await asyncio.gather(*(_probe(provider, catalog, environ, client) for provider in catalog.providers))
        )


async def _probe(
    provider: Provider, catalog: Catalog, environ: Mapping[str, str], client: httpx.AsyncClient
) -> Finding:
    part = f"provider {provider.name}"
    key = environ.get(provider.api_key_env, "").strip() if provider.api_key_env else ""
    base = str(provider.base_url).rstrip("/")
    if provider.kind == "anthropic":
        url = f"{base.removesuffix('/v1')}/v1/models?limit=1000"
        headers = {"anthropic-version": ANTHROPIC_VERSION, **({"x-api-key": key} if key else {})}
    else:
        url = f"{base}/models"
        headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        answer = await client.get(url, headers=headers, timeout=TIMEOUT_S)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        mend = "Start it, or correct its base_url in the catalog, or the network's proxy settings."
        return wrong(part, f"{base} does not answer: {str(error) or type(error).__name__}", mend)
    if answer.status_code in (401, 403):
        mend = f"Set {provider.api_key_env} to a valid key." if provider.api_key_env else "Name its api_key_env."
        return wrong(part, f"{base} refuses the key (HTTP {answer.status_code})", mend)
    if answer.status_code == 404:
        return warning(
            part, f"{base} answers, but lists no models", "Nothing, if calls succeed: it may have no such list."
        )
    if answer.status_code != 200:
        return wrong(
            part, f"{url} answers HTTP {answer.status_code}", "Try again later; see the provider's status page."
        )
    return _models(part, provider, catalog, answer)


def _models(part: str, provider: Provider, catalog: Catalog, answer: httpx.Response) -> Finding:
    try:
        served = {str(model["id"]) for model in answer.json()["data"]}
    except (ValueError, KeyError, TypeError):
        mend = "Correct its base_url in the catalog: for most it ends with /v1."
        return wrong(part, f"{answer.url} does not answer with a list of models", mend)
    wanted = {d.name_at_provider for d in catalog.deployments if d.provider == provider.name}
    if missing := sorted(wanted - served):
        mend = "Correct `model` or `upstream_model` in the catalog, if calls fail with 404."
        return warning(part, f"does not list {', '.join(missing)}", mend)
    return ok(part, f"{provider.base_url} answers, and has {', '.join(sorted(wanted)) or 'no deployment'}")
