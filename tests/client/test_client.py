"""`customhouse.client` over a real Temporal: start, await, stream, cancel; idempotently."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from customhouse.client import CustomhouseClient
from customhouse.contracts.chat import ChatRequest
from customhouse.contracts.errors import (
    BlockedByPolicy,
    IdempotencyMismatch,
    InvocationCancelled,
    InvocationFailed,
    NoLawfulRoute,
)
from customhouse.contracts.invocation import InvocationStatus
from tests.doubles.house import CALL_USD, House, Tenant, until
from tests.doubles.provider import ProviderDouble, after, failure, hello, silence, stream
from tests.governance.samples import SECRETS


def asking(model: str = "solo", text: str = "Say hello.", **more: Any) -> ChatRequest:
    return ChatRequest.model_validate({"model": model, "messages": [{"role": "user", "content": text}], **more})


@pytest.fixture
def client(house: House, tenant: Tenant) -> CustomhouseClient:
    return CustomhouseClient(house.parts.temporal, tenant.organization_id, task_queue=house.parts.settings.task_queue)


@pytest.mark.parametrize("model", ["solo", "slow"])
async def test_invoke(client: CustomhouseClient, tenant: Tenant, model: str) -> None:
    result = await client.invoke(
        asking(model), agent_id="bot", workflow_execution_id="run-1", node_id="step-1", metadata={"ticket": "17"}
    )
    assert result.status is InvocationStatus.COMPLETED
    assert result.answer is not None
    assert result.answer.choices[0].message["content"] == "Hello there."
    assert result.usd_cost == Decimal(CALL_USD)
    assert (result.attempts, result.verdict) == (1, "allow")
    (cost,) = await tenant.costs()
    assert (cost["agent_id"], cost["workflow_execution_id"], cost["node_id"]) == ("bot", "run-1", "step-1")
    (row,) = await tenant.invocations()
    assert row["labels"] == {"ticket": "17"}


async def test_the_same_key_is_the_same_invocation(
    client: CustomhouseClient, tenant: Tenant, provider: ProviderDouble
) -> None:
    gate = asyncio.Event()
    provider.will(after(gate, hello))
    handles = [await client.start(asking(), idempotency_key="k") for _ in range(3)]
    await until(lambda: bool(provider.calls))
    gate.set()
    results = await asyncio.gather(*(handle.result() for handle in handles))
    results.append(await client.invoke(asking(), idempotency_key="k"))
    assert len({result.invocation_id for result in results}) == 1
    assert all(result.answer == results[0].answer for result in results)
    assert len(provider.calls) == len(await tenant.costs()) == 1


@pytest.mark.parametrize("running", [True, False])
async def test_another_request_under_the_same_key(
    client: CustomhouseClient, provider: ProviderDouble, running: bool
) -> None:
    gate = asyncio.Event()
    provider.will(after(gate, hello))
    first = await client.start(asking(), idempotency_key="k")
    if not running:
        gate.set()
        await first.result()
    second = await client.start(asking(text="Something else."), idempotency_key="k")
    gate.set()
    with pytest.raises(IdempotencyMismatch, match="new key"):
        await second.result()
    assert (await first.result()).status is InvocationStatus.COMPLETED
    assert len(provider.calls) == 1


async def test_blocked(client: CustomhouseClient) -> None:
    with pytest.raises(BlockedByPolicy) as caught:
        await client.invoke(asking(text=SECRETS["github_token"]))
    assert caught.value.invocation_id is not None


async def test_no_lawful_route(client: CustomhouseClient) -> None:
    with pytest.raises(NoLawfulRoute):
        await client.invoke(asking(), region="us")


async def test_failed(client: CustomhouseClient, provider: ProviderDouble) -> None:
    provider.always(failure(404, "no such model", code="model_not_found"))
    with pytest.raises(InvocationFailed, match="no such model"):
        await client.invoke(asking())


class TestStream:
    async def test_chunks_come_while_the_provider_writes(
        self, client: CustomhouseClient, tenant: Tenant, provider: ProviderDouble
    ) -> None:
        gate = asyncio.Event()
        provider.will(stream(*(f"word{n} " for n in range(500)), gate, "the end"))
        text = ""
        async for chunk in client.stream(asking()):
            for choice in chunk["choices"]:
                text += choice["delta"].get("content") or ""
            if "word100 " in text:
                gate.set()
        assert text == "".join(f"word{n} " for n in range(500)) + "the end"
        (row,) = await tenant.ended()
        assert row["status"] == "completed"
        assert len(await tenant.costs()) == 1

    async def test_one_that_has_ended_comes_from_the_ledger(
        self, client: CustomhouseClient, provider: ProviderDouble
    ) -> None:
        for _ in range(2):
            chunks = [chunk async for chunk in client.stream(asking(), idempotency_key="again")]
            texts = [choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]]
            assert "".join(texts) == "Hello there."
        assert len(provider.calls) == 1

    async def test_a_blocked_one_raises_and_nothing_offending_leaves(
        self, client: CustomhouseClient, provider: ProviderDouble
    ) -> None:
        secret = SECRETS["github_token"]
        provider.will(stream(*(f"word{n} " for n in range(500)), *secret, " ", *(f"word{n} " for n in range(500))))
        seen: list[Any] = []

        async def read() -> None:
            async for chunk in client.stream(asking()):
                seen.append(chunk)  # noqa: PERF401 - what came before the error counts

        with pytest.raises(BlockedByPolicy):
            await read()
        assert seen
        assert secret[:12] not in str(seen)


class TestCancel:
    async def test_cancel(self, client: CustomhouseClient, tenant: Tenant, provider: ProviderDouble) -> None:
        provider.will(silence)
        handle = await client.start(asking("slow"))
        await until(lambda: bool(provider.calls))
        await handle.cancel()
        with pytest.raises(InvocationCancelled):
            await handle.result()
        assert provider.calls[0].closed
        (cost,) = await tenant.costs()
        assert cost["attempt_status"] == "cancelled"


async def test_organizations_do_not_share_keys(
    house: House, client: CustomhouseClient, provider: ProviderDouble
) -> None:
    other = await house.tenant()
    theirs = CustomhouseClient(house.parts.temporal, other.organization_id, task_queue=house.parts.settings.task_queue)
    key = f"shared {uuid4()}"
    first = await client.invoke(asking(), idempotency_key=key)
    second = await theirs.invoke(asking(text="Something else."), idempotency_key=key)
    assert first.invocation_id != second.invocation_id
    assert len(provider.calls) == 2
