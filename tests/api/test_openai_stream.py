"""Streams through `/v1`: governed like whole answers, kept when the caller hangs up, and followed again."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import openai
import orjson
import pytest

from customhouse.contracts.chat import Json
from tests.doubles.house import CALL_USD, Tenant, until
from tests.doubles.provider import ProviderDouble, failure, silence, stream
from tests.doubles.sse import reading
from tests.governance.samples import PII, SECRETS
from tests.integrations.providers import wire_openai as wire

HELLO: Any = [{"role": "user", "content": "Say hello."}]
WORDS = [f"word{number} " for number in range(600)]
"""Far more than is held back."""


def body(model: str = "solo", **more: Any) -> Json:
    return {"model": model, "messages": HELLO, "stream": True, **more}


@pytest.fixture(params=["solo", "slow"], ids=["local", "regular"])
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_the_official_client_reads_it(tenant: Tenant, model: str) -> None:
    chunks = await tenant.openai.chat.completions.create(model=model, messages=HELLO, stream=True)
    texts = [chunk.choices[0].delta.content or "" async for chunk in chunks]
    assert "".join(texts) == "Hello there."
    (cost,) = await tenant.costs()
    assert cost["usd_cost"] == Decimal(CALL_USD)


@pytest.mark.parametrize("wanted", [True, False])
async def test_usage_is_sent_on_request_only(tenant: Tenant, wanted: bool) -> None:
    options: Any = {"stream_options": {"include_usage": True}} if wanted else {}
    chunks = await tenant.openai.chat.completions.create(model="solo", messages=HELLO, stream=True, **options)
    usages = [chunk.usage async for chunk in chunks if chunk.usage is not None]
    assert [usage.total_tokens for usage in usages] == ([16] if wanted else [])


async def test_tool_calls_are_streamed(tenant: Tenant, provider: ProviderDouble) -> None:
    provider.will(
        stream(
            wire.chunk(wire.call_delta(0, "", id="call_1", name="weather")),
            wire.chunk(wire.call_delta(0, '{"city": ')),
            wire.chunk(wire.call_delta(0, '"Oslo"}')),
        )
    )
    tool: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    chunks = await tenant.openai.chat.completions.create(model="solo", messages=HELLO, stream=True, tools=[tool])
    arguments = ""
    async for chunk in chunks:
        for call in chunk.choices[0].delta.tool_calls or []:
            assert call.function is not None
            arguments += call.function.arguments or ""
    assert orjson.loads(arguments) == {"city": "Oslo"}


async def test_text_leaves_while_the_provider_still_writes(
    tenant: Tenant, provider: ProviderDouble, model: str
) -> None:
    gate = asyncio.Event()
    provider.will(stream(*WORDS, gate, "the end"))
    async with reading(tenant.http, "POST", "/v1/chat/completions", json=body(model)) as events:
        await events.read_until("word100 ")
        assert "word599 " not in events.text, "the newest text is held until its window has been checked"
        assert events.response.headers["x-customhouse-verdict"] == "allow"
        assert float(events.response.headers["x-customhouse-overhead-ms"]) >= 0
        gate.set()
        await events.read()
    assert events.text == "".join(WORDS) + "the end"
    assert events.last == "[DONE]"


async def test_the_verdict_is_recorded_before_done(tenant: Tenant, model: str) -> None:
    async with reading(tenant.http, "POST", "/v1/chat/completions", json=body(model)) as events:
        await events.read_until("there.")
        async for event in events.events_to_come():
            events.events.append(event)
            if event == "[DONE]":
                (row,) = await tenant.invocations()
                assert (row["status"], row["verdict"]) == ("completed", "allow")
    summary = events.events[-2]
    assert isinstance(summary, str)
    facts = orjson.loads(summary.removeprefix(": customhouse "))
    assert (facts["verdict"], facts["cost_usd"]) == ("allow", CALL_USD)


class TestBlocked:
    async def test_before_anything_has_left_it_is_a_403(
        self, tenant: Tenant, provider: ProviderDouble, model: str
    ) -> None:
        secret = SECRETS["github_token"]
        provider.will(stream("My token: ", *secret, " is good."))
        with pytest.raises(openai.PermissionDeniedError) as caught:
            await tenant.openai.chat.completions.create(model=model, messages=HELLO, stream=True)
        assert caught.value.code == "blocked_by_policy"
        assert secret not in str(caught.value)
        (row,) = await tenant.invocations()
        assert (row["status"], row["verdict"]) == ("blocked", "block")
        assert len(await tenant.costs()) == 1

    async def test_after_text_has_left_it_is_the_last_event(
        self, tenant: Tenant, provider: ProviderDouble, model: str
    ) -> None:
        secret = SECRETS["github_token"]
        provider.will(stream(*WORDS, "token: ", secret[:7], secret[7:20], secret[20:], " ", *WORDS))
        async with reading(tenant.http, "POST", "/v1/chat/completions", json=body(model)) as events:
            await events.read()
        assert events.response.status_code == 200
        assert events.text.startswith("word0 word1 ")
        assert secret[:7] not in events.text
        assert isinstance(events.last, dict)
        assert events.last["error"]["code"] == "blocked_by_policy"
        assert "[DONE]" not in events.events
        (row,) = await tenant.invocations()
        assert (row["status"], row["verdict"]) == ("blocked", "block")
        assert len(await tenant.costs()) == 1
        for table in ("invocations", "attempts"):
            kept = await tenant.rows(f"SELECT * FROM {table} WHERE organization_id = :organization_id")
            assert secret not in str(kept)

    async def test_the_official_client_raises_on_it(self, tenant: Tenant, provider: ProviderDouble) -> None:
        provider.will(stream(*WORDS, SECRETS["aws_access_key"], " ", *WORDS))
        chunks = await tenant.openai.chat.completions.create(model="solo", messages=HELLO, stream=True)
        with pytest.raises(openai.APIError, match="blocked by policy"):
            async for _ in chunks:
                pass

    async def test_a_blocked_request_never_reaches_the_provider(self, tenant: Tenant, provider: ProviderDouble) -> None:
        message: Any = [{"role": "user", "content": SECRETS["stripe_key"]}]
        with pytest.raises(openai.PermissionDeniedError):
            await tenant.openai.chat.completions.create(model="solo", messages=message, stream=True)
        assert provider.calls == []


async def test_personal_data_is_redacted(tenant: Tenant, provider: ProviderDouble, model: str) -> None:
    email = PII["email"]
    provider.will(stream("Write to ", email[:5], email[5:], " soon."))
    async with reading(tenant.http, "POST", "/v1/chat/completions", json=body(model)) as events:
        await events.read()
    assert email not in events.text
    assert events.text.startswith("Write to ")
    assert events.text.endswith(" soon.")
    assert events.last == "[DONE]"
    (row,) = await tenant.invocations()
    assert row["verdict"] == "redact"


class TestFailures:
    async def test_before_anything_has_left_another_attempt_answers(
        self, tenant: Tenant, provider: ProviderDouble, model: str
    ) -> None:
        provider.will(stream("Hel", breaks=True))
        async with reading(tenant.http, "POST", "/v1/chat/completions", json=body(model)) as events:
            await events.read()
        assert events.text == "Hello there."
        assert [cost["attempt_status"] for cost in await tenant.costs()] == ["failed", "succeeded"]

    async def test_after_text_has_left_it_ends_with_an_error(
        self, tenant: Tenant, provider: ProviderDouble, model: str
    ) -> None:
        provider.will(stream(*WORDS, breaks=True))
        async with reading(tenant.http, "POST", "/v1/chat/completions", json=body(model)) as events:
            await events.read()
        assert events.text.startswith("word0 ")
        assert isinstance(events.last, dict)
        assert "error" in events.last
        assert "[DONE]" not in events.events
        assert len(provider.calls) == 1, "what has left cannot be taken back, so nobody begins anew"
        (row,) = await tenant.invocations()
        assert row["status"] == "failed"
        (cost,) = await tenant.costs()
        assert cost["usage_estimated"]
        assert cost["tokens_output"] > 100

    async def test_a_provider_that_is_down_has_its_own_status(self, tenant: Tenant, provider: ProviderDouble) -> None:
        provider.will(failure(400, "no such parameter"))
        with pytest.raises(openai.BadRequestError):
            await tenant.openai.chat.completions.create(model="solo", messages=HELLO, stream=True)


class TestHangUp:
    async def test_the_invocation_goes_on_and_is_billed_once(
        self, tenant: Tenant, provider: ProviderDouble, model: str
    ) -> None:
        gate = asyncio.Event()
        provider.will(stream(*WORDS, gate, "the end"))
        async with reading(tenant.http, "POST", "/v1/chat/completions", json=body(model)) as events:
            await events.read_until("word10 ")
        gate.set()
        (row,) = await tenant.ended()
        assert row["status"] == "completed"
        (call,) = provider.calls
        assert not call.closed
        (cost,) = await tenant.costs()
        assert cost["usd_cost"] == Decimal(CALL_USD)

    async def test_it_can_be_followed_again_from_the_start(
        self, tenant: Tenant, provider: ProviderDouble, model: str
    ) -> None:
        gate = asyncio.Event()
        provider.will(stream(*WORDS, gate, "the end"))
        async with reading(tenant.http, "POST", "/v1/chat/completions", json=body(model)) as events:
            await events.read_until("word10 ")
        path = f"/api/v1/invocations/{events.response.headers['x-customhouse-invocation-id']}/stream"
        async with reading(tenant.http, "GET", path) as again:
            await again.read_until("word10 ")
            assert again.text.startswith("word0 ")
            gate.set()
            await again.read()
        assert again.text == "".join(WORDS) + "the end"
        assert again.last == "[DONE]"
        async with reading(tenant.http, "GET", path) as after:
            await after.read()
        assert (after.text, after.last) == (again.text, "[DONE]")
        assert len(provider.calls) == len(await tenant.costs()) == 1

    async def test_one_that_is_to_cancel_closes_the_providers_connection(
        self, tenant: Tenant, provider: ProviderDouble, model: str
    ) -> None:
        provider.will(stream(*WORDS, asyncio.Event()))
        headers = {"x-customhouse-on-disconnect": "cancel"}
        async with reading(tenant.http, "POST", "/v1/chat/completions", json=body(model), headers=headers) as events:
            await events.read_until("word10 ")
        await until(lambda: provider.calls[0].closed)
        (row,) = await tenant.ended()
        assert row["status"] == "cancelled"
        (cost,) = await tenant.costs()
        assert (cost["attempt_status"], cost["usage_estimated"]) == ("cancelled", True)
        assert cost["tokens_output"] > 100
        assert cost["usd_cost"] > 0

    @pytest.mark.parametrize("more", [{}, {"response_format": {"type": "json_object"}}], ids=["text", "json"])
    async def test_before_the_first_chunk_too(
        self, tenant: Tenant, provider: ProviderDouble, model: str, more: Json
    ) -> None:
        provider.will(stream("{", asyncio.Event()) if more else silence)
        asked = {**body(model), **more, "metadata": {"on_disconnect": "cancel"}}
        asking = asyncio.create_task(tenant.http.post("/v1/chat/completions", json=asked))
        await until(lambda: bool(provider.calls))
        asking.cancel()
        await until(lambda: provider.calls[0].closed)
        (row,) = await tenant.ended()
        assert row["status"] == "cancelled"

    @pytest.mark.parametrize("door", ["/v1/chat/completions", "/api/v1/invocations"])
    async def test_a_whole_answer_too(self, tenant: Tenant, provider: ProviderDouble, model: str, door: str) -> None:
        gate = asyncio.Event()
        provider.will(stream(gate))

        asked: Json = {"model": model, "messages": HELLO}
        sent = {"request": asked, "on_disconnect": "cancel"}
        if door.startswith("/v1"):
            sent = {**asked, "metadata": {"on_disconnect": "cancel"}}
        asking = asyncio.create_task(tenant.http.post(door, json=sent))
        await until(lambda: bool(provider.calls))
        asking.cancel()
        await until(lambda: provider.calls[0].closed)
        (row,) = await tenant.ended()
        assert row["status"] == "cancelled"
        (cost,) = await tenant.costs()
        assert cost["attempt_status"] == "cancelled"


async def test_several_choices_are_streamed_apart(tenant: Tenant, provider: ProviderDouble) -> None:
    provider.will(
        stream(
            wire.chunk({"content": "one"}), wire.chunk({"content": "two"}, index=1), wire.chunk(finish="stop", index=1)
        )
    )
    chunks = await tenant.openai.chat.completions.create(model="solo", messages=HELLO, stream=True, n=2)
    texts = {0: "", 1: ""}
    async for chunk in chunks:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    assert texts == {0: "one", 1: "two"}
