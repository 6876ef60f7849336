"""The API in one process and the worker in another: the same answers, streams included."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from customhouse.contracts.chat import Json
from tests.doubles.house import CALL_USD, House, Tenant, running_house, until
from tests.doubles.provider import ProviderDouble, after, hello, silence, stream
from tests.doubles.sse import reading
from tests.governance.samples import PII, SECRETS
from workers.invocation_worker import queue_worker

HELLO: Any = [{"role": "user", "content": "Say hello."}]
WORDS = [f"word{number} " for number in range(600)]


@pytest.fixture(scope="module")
async def front(house: House, temporal_address: str, shared_provider: ProviderDouble) -> AsyncIterator[House]:
    """An API without a worker, before the shared process's worker."""
    settings = house.parts.settings
    assert settings.database_url is not None
    url = settings.database_url.get_secret_value()
    async with running_house(url, temporal_address, shared_provider, settings.task_queue, worker=False) as running:
        yield running


@pytest.fixture
async def there(front: House, tenant: Tenant) -> AsyncIterator[Tenant]:
    yield Tenant(front, tenant.organization_id, tenant.secret, tenant.key_id)
    await front.close_clients()


def body(model: str = "solo", **more: Any) -> Json:
    return {"model": model, "messages": HELLO, **more}


@pytest.mark.parametrize("model", ["solo", "slow"])
async def test_a_whole_answer(there: Tenant, model: str) -> None:
    response = await there.http.post("/v1/chat/completions", json=body(model))
    assert response.status_code == 200
    assert response.json()["choices"][0]["message"]["content"] == "Hello there."
    assert response.headers["x-customhouse-cost-usd"] == CALL_USD


async def test_a_stream_comes_while_the_provider_writes(there: Tenant, provider: ProviderDouble) -> None:
    gate = asyncio.Event()
    provider.will(stream(*WORDS, gate, "the end"))
    async with reading(there.http, "POST", "/v1/chat/completions", json=body(stream=True)) as events:
        await events.read_until("word100 ")
        gate.set()
        await events.read()
    assert (events.text, events.last) == ("".join(WORDS) + "the end", "[DONE]")
    assert len(provider.calls) == len(await there.costs()) == 1


async def test_short_streams_lose_nothing(there: Tenant) -> None:
    for _ in range(5):
        async with reading(there.http, "POST", "/v1/chat/completions", json=body(stream=True)) as events:
            await events.read()
        assert (events.text, events.last) == ("Hello there.", "[DONE]")


async def test_what_is_redacted_shows_in_the_headers(there: Tenant) -> None:
    message = [{"role": "user", "content": f"Write to {PII['email']}."}]
    async with reading(there.http, "POST", "/v1/chat/completions", json=body(stream=True, messages=message)) as events:
        await events.read()
    assert events.response.headers["x-customhouse-verdict"] == "redact"


async def test_a_blocked_stream(there: Tenant, provider: ProviderDouble) -> None:
    secret = SECRETS["github_token"]
    provider.will(stream(*WORDS, *secret, " ", *WORDS))
    async with reading(there.http, "POST", "/v1/chat/completions", json=body(stream=True)) as events:
        await events.read()
    assert isinstance(events.last, dict)
    assert events.last["error"]["code"] == "blocked_by_policy"
    assert secret[:12] not in events.text


async def test_re_attaching(there: Tenant, provider: ProviderDouble) -> None:
    gate = asyncio.Event()
    provider.will(stream(*WORDS, gate, "the end"))
    async with reading(there.http, "POST", "/v1/chat/completions", json=body(stream=True)) as events:
        await events.read_until("word10 ")
    path = f"/api/v1/invocations/{events.response.headers['x-customhouse-invocation-id']}/stream"
    async with reading(there.http, "GET", path) as again:
        await again.read_until("word10 ")
        gate.set()
        await again.read()
    assert (again.text, again.last) == ("".join(WORDS) + "the end", "[DONE]")
    assert len(provider.calls) == 1


async def test_a_stream_that_was_begun_elsewhere_comes_whole(
    tenant: Tenant, there: Tenant, provider: ProviderDouble
) -> None:
    """It was started where worker and API are one process, so its chunks do not pass through the workflow."""
    gate = asyncio.Event()
    provider.will(after(gate, hello))
    headers = {"idempotency-key": "begun elsewhere"}

    async def follow(who: Tenant) -> str:
        async with reading(who.http, "POST", "/v1/chat/completions", json=body(stream=True), headers=headers) as events:
            return (await events.read()).text

    first = asyncio.create_task(follow(tenant))
    await until(lambda: bool(provider.calls))
    second = asyncio.create_task(follow(there))
    gate.set()
    texts = await asyncio.gather(first, second)
    assert list(texts) == ["Hello there."] * 2
    assert len(provider.calls) == 1


async def test_a_hang_up_before_the_first_chunk_reaches_the_worker(
    tenant: Tenant, there: Tenant, provider: ProviderDouble
) -> None:
    provider.will(silence)
    asked = body(stream=True, metadata={"on_disconnect": "cancel"})
    asking = asyncio.create_task(there.http.post("/v1/chat/completions", json=asked))
    await until(lambda: bool(provider.calls))
    asking.cancel()
    await until(lambda: provider.calls[0].closed)
    (row,) = await tenant.ended()
    assert row["status"] == "cancelled"


async def test_a_stream_from_a_task_queue_of_its_own(house: House, front: House, provider: ProviderDouble) -> None:
    """API and worker are one process, and the provider call is made in another."""
    tenant = await house.tenant()
    gate = asyncio.Event()
    provider.will(stream(*WORDS, gate, "the end"))
    queue = f"{house.parts.settings.task_queue}-own"
    async with queue_worker(front.parts.temporal, queue, front.parts):
        asked = body("elsewhere", stream=True)
        async with reading(tenant.http, "POST", "/v1/chat/completions", json=asked) as events:
            await events.read_until("word100 ")
            path = f"/api/v1/invocations/{events.response.headers['x-customhouse-invocation-id']}/stream"
            async with reading(tenant.http, "GET", path) as again:
                await again.read_until("word100 ")
                gate.set()
                await asyncio.gather(events.read(), again.read())
    for reader in (events, again):
        assert (reader.text, reader.last) == ("".join(WORDS) + "the end", "[DONE]")
    await house.close_clients()


async def test_a_stream_through_the_workflow_whose_call_is_made_here_comes_once(
    house: House, tenant: Tenant, provider: ProviderDouble
) -> None:
    provider.will(stream(*WORDS))
    async with queue_worker(house.parts.temporal, f"{house.parts.settings.task_queue}-own", house.parts):
        asked = body("elsewhere", stream=True)
        async with reading(tenant.http, "POST", "/v1/chat/completions", json=asked) as events:
            await events.read()
    assert (events.text, events.last) == ("".join(WORDS), "[DONE]")


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_hang_up_that_is_to_cancel_reaches_the_worker(
    tenant: Tenant, there: Tenant, provider: ProviderDouble, streamed: bool
) -> None:
    provider.will(stream(*WORDS, asyncio.Event()) if streamed else silence)
    headers = {"x-customhouse-on-disconnect": "cancel"}
    if streamed:
        async with reading(
            there.http, "POST", "/v1/chat/completions", json=body(stream=True), headers=headers
        ) as events:
            await events.read_until("word10 ")
    else:
        asking = asyncio.create_task(there.http.post("/v1/chat/completions", json=body(), headers=headers))
        await until(lambda: bool(provider.calls))
        asking.cancel()
    await until(lambda: provider.calls[0].closed)
    (row,) = await tenant.ended()
    assert row["status"] == "cancelled"
    (cost,) = await tenant.costs()
    assert cost["attempt_status"] == "cancelled"
