"""One key, one invocation, one bill: at once, afterwards, through any door, and when Temporal has forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import openai
import pytest

from customhouse.client import CustomhouseClient, invocation_input
from customhouse.contracts.chat import ChatRequest, Json
from customhouse.contracts.errors import IdempotencyMismatch
from customhouse.contracts.identity import workflow_id
from customhouse.contracts.invocation import Caller
from tests.doubles.house import Tenant, running_house, until
from tests.doubles.provider import ProviderDouble, after, hello, whole
from tests.doubles.sse import reading
from tests.stack import running_temporal

HELLO: Any = [{"role": "user", "content": "Say hello."}]
BODY: Json = {"model": "solo", "messages": HELLO}
ODD_KEYS = ["a/b:c#d?e=f&g", "100% safe", '"quoted"', "..", "x" * 255, "-", "%2F"]


@asynccontextmanager
async def amnesia(tenant: Tenant) -> AsyncIterator[Tenant]:
    """The same database behind a Temporal that knows nothing: as after its retention has passed."""
    settings = tenant.house.parts.settings
    assert settings.database_url is not None
    url = settings.database_url.get_secret_value()
    async with (
        running_temporal() as empty,
        running_house(url, empty.address, tenant.house.provider, settings.task_queue) as house,
    ):
        yield Tenant(house, tenant.organization_id, tenant.secret, tenant.key_id)


@pytest.mark.parametrize("model", ["solo", "slow"])
async def test_ten_at_once_are_one_call(tenant: Tenant, provider: ProviderDouble, model: str) -> None:
    gate = asyncio.Event()
    provider.will(after(gate, hello))
    asking = [
        asyncio.create_task(
            tenant.http.post(
                "/v1/chat/completions", json={**BODY, "model": model}, headers={"idempotency-key": "order 17"}
            )
        )
        for _ in range(10)
    ]
    await until(lambda: bool(provider.calls))
    gate.set()
    responses = await asyncio.gather(*asking)
    assert {response.status_code for response in responses} == {200}
    assert len({response.content for response in responses}) == 1
    assert len({response.headers["x-customhouse-invocation-id"] for response in responses}) == 1
    assert sum("idempotent-replayed" in response.headers for response in responses) == 9
    assert len(provider.calls) == len(await tenant.costs()) == len(await tenant.invocations()) == 1


async def test_afterwards_the_answer_is_the_same(tenant: Tenant, provider: ProviderDouble) -> None:
    headers = {"idempotency-key": "order 18"}
    first = await tenant.http.post("/v1/chat/completions", json=BODY, headers=headers)
    again = await tenant.http.post("/v1/chat/completions", json=BODY, headers=headers)
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["x-customhouse-cost-usd"] == first.headers["x-customhouse-cost-usd"]
    assert len(provider.calls) == 1


async def test_afterwards_the_stream_is_the_same(tenant: Tenant, provider: ProviderDouble) -> None:
    headers = {"idempotency-key": "order 19"}
    body = {**BODY, "stream": True, "stream_options": {"include_usage": True}}
    for _ in range(2):
        async with reading(tenant.http, "POST", "/v1/chat/completions", json=body, headers=headers) as events:
            await events.read()
        assert (events.text, events.last) == ("Hello there.", "[DONE]")
        usages = [e["usage"] for e in events.events if isinstance(e, dict) and e.get("usage")]
        assert [usage["total_tokens"] for usage in usages] == [16]
    assert len(provider.calls) == 1


async def test_a_second_stream_joins_the_first(tenant: Tenant, provider: ProviderDouble) -> None:
    gate = asyncio.Event()
    provider.will(after(gate, hello))
    headers = {"idempotency-key": "order 20"}

    async def follow() -> str:
        async with reading(
            tenant.http, "POST", "/v1/chat/completions", json={**BODY, "stream": True}, headers=headers
        ) as events:
            return (await events.read()).text

    following = [asyncio.create_task(follow()) for _ in range(3)]
    await until(lambda: bool(provider.calls))
    gate.set()
    assert await asyncio.gather(*following) == ["Hello there."] * 3
    assert len(provider.calls) == 1


async def test_a_refusal_is_kept_too(tenant: Tenant, provider: ProviderDouble) -> None:
    headers = {"idempotency-key": "order 21", "x-customhouse-region": "us"}
    first = await tenant.http.post("/v1/chat/completions", json=BODY, headers=headers)
    again = await tenant.http.post("/v1/chat/completions", json=BODY, headers=headers)
    assert (first.status_code, again.status_code) == (403, 403)
    assert first.content == again.content
    assert provider.calls == []


class TestAnotherBody:
    @pytest.mark.parametrize(
        "other",
        [{"messages": [{"role": "user", "content": "Something else."}]}, {"temperature": 0.5}, {"stream": True}],
    )
    async def test_is_refused(self, tenant: Tenant, provider: ProviderDouble, other: Json) -> None:
        headers = {"idempotency-key": "order 22"}
        await tenant.openai.chat.completions.create(model="solo", messages=HELLO, extra_headers=headers)
        with pytest.raises(openai.UnprocessableEntityError, match="another body") as caught:
            await tenant.openai.chat.completions.create(**{**BODY, **other}, extra_headers=headers)
        assert (caught.value.code, caught.value.param) == ("idempotency_key_reused", "Idempotency-Key")
        assert len(provider.calls) == 1

    async def test_the_region_counts_and_the_agent_does_not(self, tenant: Tenant) -> None:
        headers = {"idempotency-key": "order 23"}
        for agent in ("one", "two"):
            response = await tenant.http.post(
                "/v1/chat/completions", json=BODY, headers={**headers, "x-customhouse-agent": agent}
            )
            assert response.status_code == 200
        response = await tenant.http.post(
            "/v1/chat/completions", json=BODY, headers={**headers, "x-customhouse-region": "eu"}
        )
        assert response.status_code == 422


@pytest.mark.parametrize("key", ODD_KEYS)
async def test_keys_of_odd_characters(tenant: Tenant, provider: ProviderDouble, key: str) -> None:
    for _ in range(2):
        response = await tenant.http.post("/v1/chat/completions", json=BODY, headers={"idempotency-key": key})
        assert response.status_code == 200
    assert len(provider.calls) == 1
    (row,) = await tenant.invocations()
    assert row["idempotency_key"] == key


@pytest.mark.parametrize("key", ["Schlüssel ☃ 🔑", "語" * 255, " spaces "])
async def test_keys_in_the_body_may_hold_any_text(tenant: Tenant, provider: ProviderDouble, key: str) -> None:
    for _ in range(2):
        response = await tenant.http.post("/api/v1/invocations", json={"request": BODY, "idempotency_key": key})
        assert response.status_code == 200, response.text
    assert len(provider.calls) == 1
    (row,) = await tenant.invocations()
    assert row["idempotency_key"] == key


class TestDoors:
    async def test_all_three_share_a_key(self, tenant: Tenant, provider: ProviderDouble) -> None:
        parts = tenant.house.parts
        client = CustomhouseClient(parts.temporal, tenant.organization_id, task_queue=parts.settings.task_queue)
        result = await client.invoke(ChatRequest.model_validate(BODY), idempotency_key="shared")
        assert result.answer is not None
        chat = await tenant.http.post("/v1/chat/completions", json=BODY, headers={"idempotency-key": "shared"})
        rest = await tenant.http.post("/api/v1/invocations", json={"request": BODY, "idempotency_key": "shared"})
        assert chat.status_code == 200, chat.text
        assert rest.status_code == 200, rest.text
        assert chat.json() == rest.json()["answer"] == result.answer.model_dump(mode="json")
        assert rest.json()["invocation_id"] == str(result.invocation_id)
        assert len(provider.calls) == 1

    async def test_the_temporal_client_after_the_api(self, tenant: Tenant, provider: ProviderDouble) -> None:
        parts = tenant.house.parts
        client = CustomhouseClient(parts.temporal, tenant.organization_id, task_queue=parts.settings.task_queue)
        chat = await tenant.http.post("/v1/chat/completions", json=BODY, headers={"idempotency-key": "shared"})
        result = await client.invoke(ChatRequest.model_validate(BODY), idempotency_key="shared")
        assert str(result.invocation_id) == chat.headers["x-customhouse-invocation-id"]
        assert result.answer is not None
        assert result.answer.model_dump(mode="json") == chat.json()
        with pytest.raises(IdempotencyMismatch):
            await client.invoke(ChatRequest.model_validate({**BODY, "n": 2}), idempotency_key="shared")
        assert len(provider.calls) == 1


async def test_when_temporal_has_forgotten_the_ledger_answers(tenant: Tenant, provider: ProviderDouble) -> None:
    headers = {"idempotency-key": "old"}
    first = await tenant.http.post("/v1/chat/completions", json=BODY, headers=headers)
    async with amnesia(tenant) as there:
        again = await there.http.post("/v1/chat/completions", json=BODY, headers=headers)
        assert again.json() == first.json()
        parts = there.house.parts
        client = CustomhouseClient(parts.temporal, tenant.organization_id, task_queue=parts.settings.task_queue)
        result = await client.invoke(ChatRequest.model_validate(BODY), idempotency_key="old")
        assert result.answer is not None
        assert result.answer.model_dump(mode="json") == first.json()
        with pytest.raises(IdempotencyMismatch):
            await client.invoke(ChatRequest.model_validate({**BODY, "n": 2}), idempotency_key="old")
        async with reading(there.http, "GET", f"/api/v1/invocations/{result.invocation_id}/stream") as events:
            await events.read()
        assert (events.text, events.last) == ("Hello there.", "[DONE]")
    assert len(provider.calls) == len(await tenant.costs()) == 1


async def test_a_large_request_is_kept_once(tenant: Tenant, provider: ProviderDouble) -> None:
    gate = asyncio.Event()
    provider.will(after(gate, hello))
    large = {"model": "solo", "messages": [{"role": "user", "content": "many words " * 20_000}]}

    async def ask() -> int:
        headers = {"idempotency-key": "large"}
        return (await tenant.http.post("/v1/chat/completions", json=large, headers=headers)).status_code

    asking = [asyncio.create_task(ask()) for _ in range(3)]
    await until(lambda: bool(provider.calls))
    gate.set()
    assert [*await asyncio.gather(*asking), await ask()] == [200] * 4
    assert len(await tenant.rows("SELECT id FROM contents WHERE organization_id = :organization_id")) == 1
    assert len(provider.calls) == 1


async def test_one_that_was_accepted_and_never_started_is_started(tenant: Tenant, provider: ProviderDouble) -> None:
    """The process died between the row and the start."""
    caller = Caller(organization_id=tenant.organization_id)
    lost = invocation_input(ChatRequest.model_validate(BODY), caller, idempotency_key="lost")
    await tenant.house.parts.ledger.accept(lost, workflow_id(tenant.organization_id, "lost"))
    response = await tenant.http.post("/v1/chat/completions", json=BODY, headers={"idempotency-key": "lost"})
    assert response.status_code == 200
    assert response.headers["x-customhouse-invocation-id"] == str(lost.invocation_id)
    assert len(provider.calls) == 1


async def test_a_terminated_workflow_is_an_explicit_failure(
    tenant: Tenant, provider: ProviderDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.watchdog.ANSWER_POLL", timedelta(milliseconds=50))
    gate = asyncio.Event()
    provider.will(after(gate, whole()))
    headers = {"idempotency-key": f"terminated {uuid4()}"}
    asking = asyncio.create_task(tenant.http.post("/v1/chat/completions", json=BODY, headers=headers))
    await until(lambda: bool(provider.calls))
    (row,) = await tenant.invocations()
    await tenant.house.parts.temporal.get_workflow_handle(row["workflow_id"]).terminate("by hand")
    response = await asking
    gate.set()
    assert response.status_code == 502
    assert "from outside" in response.json()["error"]["message"]
    (row,) = await tenant.invocations()
    assert row["status"] == "failed"
    await until(lambda: not provider.busy)
    (cost,) = await tenant.costs()
    assert cost["attempt_status"] == "unknown"


async def test_who_waits_is_looked_after_again_once_the_database_answers(
    database_url: str,
    temporal_address: str,
    task_queue: str,
    provider: ProviderDouble,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("api.watchdog.ANSWER_POLL", timedelta(milliseconds=50))
    gate = asyncio.Event()
    provider.will(after(gate, whole()))
    async with running_house(database_url, temporal_address, provider, task_queue) as house:
        tenant = await house.tenant()
        asking = asyncio.create_task(tenant.http.post("/v1/chat/completions", json=BODY))
        await until(lambda: bool(provider.calls))
        (row,) = await tenant.invocations()
        await house.change("ALTER TABLE invocations RENAME TO aside")
        await until(lambda: "cannot look after" in caplog.text)
        await house.change("ALTER TABLE aside RENAME TO invocations")
        await house.parts.temporal.get_workflow_handle(row["workflow_id"]).terminate("by hand")
        response = await asking
        gate.set()
        await until(lambda: not provider.busy)
    assert response.status_code == 502
