"""One real run of `GovernedInvocation` for each way that it can go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from customhouse.client import CustomhouseClient
from customhouse.contracts.chat import ChatRequest, Json
from customhouse.contracts.errors import InvocationCancelled
from tests.doubles.house import Tenant, until
from tests.doubles.provider import ProviderDouble, failure, hello, silence, stream, whole
from tests.governance.samples import SECRETS

HELLO: Any = [{"role": "user", "content": "Say hello."}]
SCHEMA: Json = {
    "type": "json_schema",
    "json_schema": {"name": "city", "schema": {"type": "object", "required": ["city"]}},
}


async def _post(tenant: Tenant, status: int, model: str, **more: Any) -> None:
    response = await tenant.http.post("/v1/chat/completions", json={"model": model, "messages": HELLO, **more})
    assert response.status_code == status, response.text


async def whole_local(tenant: Tenant, provider: ProviderDouble) -> None:
    provider.will(hello)
    await _post(tenant, 200, "solo")


async def whole_regular(tenant: Tenant, provider: ProviderDouble) -> None:
    provider.will(hello)
    await _post(tenant, 200, "slow")


async def streamed(tenant: Tenant, provider: ProviderDouble) -> None:
    provider.will(stream(*(f"word{number} " for number in range(500))))
    await _post(tenant, 200, "solo", stream=True)


async def streamed_through_workflow(tenant: Tenant, provider: ProviderDouble) -> None:
    provider.will(stream(*(f"word{number} " for number in range(60))))
    client = _client(tenant)
    request = ChatRequest.model_validate({"model": "slow", "messages": HELLO})
    assert [chunk async for chunk in client.stream(request)]


async def blocked_input(tenant: Tenant, _: ProviderDouble) -> None:
    await _post(tenant, 403, "solo", messages=[{"role": "user", "content": SECRETS["npm_token"]}])


async def blocked_answer(tenant: Tenant, provider: ProviderDouble) -> None:
    provider.will(whole(SECRETS["npm_token"]))
    await _post(tenant, 403, "solo")


async def retried_and_rerouted(tenant: Tenant, provider: ProviderDouble) -> None:
    provider.will(failure(500), failure(429, retry_after="2.1"), failure(500))
    await _post(tenant, 200, "duo")


async def failed(tenant: Tenant, provider: ProviderDouble) -> None:
    provider.will(failure(500), failure(500), failure(500))
    await _post(tenant, 502, "slow")


async def repaired_local(tenant: Tenant, provider: ProviderDouble) -> None:
    provider.will(whole("{}"), whole('{"city": "Oslo"}'))
    await _post(tenant, 200, "solo", response_format=SCHEMA)


async def repaired_regular(tenant: Tenant, provider: ProviderDouble) -> None:
    provider.will(whole("{}"), whole('{"city": "Oslo"}'))
    await _post(tenant, 200, "slow", response_format=SCHEMA)


async def cancelled_by_rest(tenant: Tenant, provider: ProviderDouble) -> None:
    provider.will(silence)
    asking = asyncio.create_task(_post(tenant, 409, "solo"))
    await until(lambda: bool(provider.calls))
    (row,) = await tenant.invocations()
    await tenant.http.post(f"/api/v1/invocations/{row['id']}/cancel")
    await asking


async def cancelled_through_temporal(tenant: Tenant, provider: ProviderDouble) -> None:
    provider.will(silence)
    handle = await _client(tenant).start(ChatRequest.model_validate({"model": "slow", "messages": HELLO}))
    await until(lambda: bool(provider.calls))
    await handle.cancel()
    try:
        await handle.result()
    except InvocationCancelled:
        return
    raise AssertionError("a cancelled invocation gave an answer")


async def repeated_when_ended(tenant: Tenant, provider: ProviderDouble) -> None:
    """The second run under the key finds the first one's result in the ledger."""
    provider.will(hello)
    request = ChatRequest.model_validate({"model": "solo", "messages": HELLO})
    for _ in range(2):
        await _client(tenant).invoke(request, idempotency_key="again")


def _client(tenant: Tenant) -> CustomhouseClient:
    parts = tenant.house.parts
    return CustomhouseClient(parts.temporal, tenant.organization_id, task_queue=parts.settings.task_queue)


SCENARIOS: dict[str, Callable[[Tenant, ProviderDouble], Awaitable[None]]] = {
    scenario.__name__: scenario
    for scenario in (
        whole_local,
        whole_regular,
        streamed,
        streamed_through_workflow,
        blocked_input,
        blocked_answer,
        retried_and_rerouted,
        failed,
        repaired_local,
        repaired_regular,
        cancelled_by_rest,
        cancelled_through_temporal,
        repeated_when_ended,
    )
}
