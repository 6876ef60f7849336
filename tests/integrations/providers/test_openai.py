from __future__ import annotations

import asyncio
import socket
from contextlib import aclosing

import httpx
import pytest
from aiohttp import web

from customhouse.contracts.catalog import Provider
from customhouse.integrations.providers.base import ChatProvider, Completed, Delta
from customhouse.integrations.providers.openai import OpenAIProvider, _body
from tests.integrations.providers import wire_openai as wire
from tests.integrations.providers.calling import answer_of, failure_of, texts
from tests.integrations.providers.conftest import KEY, MakeCall
from tests.integrations.providers.server import Upstream, hang, sse


class TestRequest:
    async def test_passes_on_what_the_caller_set_and_nothing_else(
        self, upstream: Upstream, openai_provider: ChatProvider, make_call: MakeCall
    ) -> None:
        upstream.answers(wire.whole())
        await answer_of(openai_provider, make_call(max_tokens=5, max_completion_tokens=6, some_new_field={"a": 1}))
        assert upstream.seen[0].path == "/v1/chat/completions"
        assert upstream.seen[0].body == {
            "model": "upstream-model",
            "messages": [{"role": "user", "content": "Say hello."}],
            "max_tokens": 5,
            "max_completion_tokens": 6,
            "some_new_field": {"a": 1},
            "stream": False,
        }

    @pytest.mark.parametrize("asked", [None, {"include_usage": False}, {"include_obfuscation": False}])
    async def test_a_stream_is_always_asked_for_its_usage(
        self, upstream: Upstream, openai_provider: ChatProvider, make_call: MakeCall, asked: dict[str, bool] | None
    ) -> None:
        upstream.streams(sse(*wire.text_stream("Hi"), "[DONE]"))
        await answer_of(openai_provider, make_call(stream=True, stream_options=asked))
        assert upstream.seen[0].body["stream"] is True
        assert upstream.seen[0].body["stream_options"] == {**(asked or {}), "include_usage": True}

    async def test_a_whole_answer_is_not_asked_with_stream_options(
        self, upstream: Upstream, openai_provider: ChatProvider, make_call: MakeCall
    ) -> None:
        upstream.answers(wire.whole())
        await answer_of(openai_provider, make_call(stream_options={"include_usage": True}))
        assert "stream_options" not in upstream.seen[0].body

    @pytest.mark.parametrize(("store", "sent"), [(None, False), (False, False), (True, True)])
    async def test_metadata_goes_only_where_the_answer_is_stored(
        self, upstream: Upstream, openai_provider: ChatProvider, make_call: MakeCall, store: bool | None, sent: bool
    ) -> None:
        upstream.answers(wire.whole())
        await answer_of(openai_provider, make_call(metadata={"agent": "a"}, store=store))
        assert ("metadata" in upstream.seen[0].body) is sent

    async def test_sends_the_key(self, upstream: Upstream, openai_provider: ChatProvider, make_call: MakeCall) -> None:
        upstream.answers(wire.whole())
        await answer_of(openai_provider, make_call())
        headers = upstream.seen[0].headers
        assert headers["authorization"] == f"Bearer {KEY}"
        assert headers["accept-encoding"] == "identity"
        assert "cookie" not in headers

    async def test_keeps_the_query_of_the_base_url(
        self, upstream: Upstream, http_client: httpx.AsyncClient, make_call: MakeCall
    ) -> None:
        upstream.answers(wire.whole())
        base = f"{upstream.url}/openai/deployments/d?api-version=2026-01-01"
        config = Provider.model_validate({"name": "azure", "kind": "openai", "base_url": base})
        await answer_of(OpenAIProvider(config, None, http_client), make_call())
        assert upstream.seen[0].path == "/openai/deployments/d/chat/completions?api-version=2026-01-01"
        assert "authorization" not in upstream.seen[0].headers

    async def test_a_lone_surrogate_is_refused_before_anything_is_sent(
        self, upstream: Upstream, openai_provider: ChatProvider, make_call: MakeCall
    ) -> None:
        call = make_call(user="x")
        call.request.user = "\ud800"
        failure = await failure_of(openai_provider, call)
        assert failure.kind == "terminal"
        assert upstream.seen == []


class TestWhole:
    async def test_answers_as_the_provider_did(
        self, upstream: Upstream, openai_provider: ChatProvider, make_call: MakeCall
    ) -> None:
        upstream.answers(wire.whole())
        chunks, answer = await answer_of(openai_provider, make_call())
        assert chunks == []
        assert answer.model == "upstream-model-2026-01-01"
        assert answer.choices[0].message["content"] == "Hello there."
        assert answer.usage is not None
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.cached_tokens) == (11, 5, 4)
        assert answer.model_dump(mode="json")["system_fingerprint"] == "fp_1"

    @pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None, "completion_tokens": None}, "many"])
    async def test_unknown_usage_is_none_and_not_zero(
        self, upstream: Upstream, openai_provider: ChatProvider, make_call: MakeCall, usage: object
    ) -> None:
        upstream.answers(wire.whole(usage=usage))
        _, answer = await answer_of(openai_provider, make_call())
        assert answer.usage is None

    async def test_fills_in_what_sloppy_servers_leave_out(
        self, upstream: Upstream, openai_provider: ChatProvider, make_call: MakeCall
    ) -> None:
        message = {"role": "assistant", "content": "Hi"}
        upstream.answers({"choices": [{"message": message, "finish_reason": "stop"}]})
        _, answer = await answer_of(openai_provider, make_call())
        assert answer.id.startswith("chatcmpl-")
        assert answer.choices[0].finish_reason == "stop"


class TestStream:
    async def test_yields_every_chunk_and_then_the_whole(
        self, upstream: Upstream, openai_provider: ChatProvider, make_call: MakeCall
    ) -> None:
        sent = wire.text_stream("Hello", " there", ".")
        upstream.streams(sse(*sent, "[DONE]"))
        chunks, answer = await answer_of(openai_provider, make_call(stream=True))
        assert chunks == sent
        assert answer.choices[0].message["content"] == "Hello there." == texts(chunks)
        assert answer.choices[0].finish_reason == "stop"
        assert answer.usage is not None
        assert answer.usage.total_tokens == 16
        assert (answer.id, answer.model) == ("chatcmpl-1", "upstream-model-2026-01-01")

    async def test_fills_in_what_sloppy_servers_leave_out(
        self, upstream: Upstream, openai_provider: ChatProvider, make_call: MakeCall
    ) -> None:
        choice = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}
        upstream.streams(sse({"choices": [choice]}, "[DONE]"))
        events = [event async for event in openai_provider.call(make_call(stream=True))]
        assert isinstance(events[-1], Completed)
        assert events[-1].answer.model == "upstream-model"

    async def test_bytes_may_arrive_in_any_pieces(
        self, upstream: Upstream, openai_provider: ChatProvider, make_call: MakeCall
    ) -> None:
        body = b"".join(sse(*wire.text_stream("Grüße", " 🌍"), "[DONE]")).replace(b"\n", b"\r\n")
        upstream.streams([body[i : i + 7] for i in range(0, len(body), 7)])
        _, answer = await answer_of(openai_provider, make_call(stream=True))
        assert answer.choices[0].message["content"] == "Grüße 🌍"

    async def test_comments_and_a_missing_last_blank_line_do_no_harm(
        self, upstream: Upstream, openai_provider: ChatProvider, make_call: MakeCall
    ) -> None:
        upstream.streams([b": keep-alive\n\n", *sse(*wire.text_stream("Hi")), b"data: [DONE]"])
        _, answer = await answer_of(openai_provider, make_call(stream=True))
        assert answer.choices[0].message["content"] == "Hi"

    async def test_a_body_that_stays_open_after_its_end_does_not_hold_up_the_answer(
        self, upstream: Upstream, openai_provider: ChatProvider, make_call: MakeCall
    ) -> None:
        upstream.streams(sse(*wire.text_stream("Hi"), "[DONE]"), then=hang)
        _, answer = await answer_of(openai_provider, make_call(stream=True))
        assert answer.choices[0].message["content"] == "Hi"
        async with asyncio.timeout(5):
            await upstream.hung_up.wait()


class TestConnections:
    async def test_calls_one_after_another_share_a_connection(
        self, upstream: Upstream, openai_provider: ChatProvider, make_call: MakeCall
    ) -> None:
        for _ in range(2):
            upstream.answers(wire.whole())
            await answer_of(openai_provider, make_call())
            upstream.streams(sse(*wire.text_stream("Hi"), "[DONE]"))
            await answer_of(openai_provider, make_call(stream=True))
        assert len({seen.peer for seen in upstream.seen}) == 1

    async def test_small_packets_are_not_held_back(self, upstream: Upstream, http_client: httpx.AsyncClient) -> None:
        upstream.streams(sse("{}"), then=hang)  # a connection whose answer has come whole is back in the pool
        async with http_client.stream("POST", upstream.url, json={}) as response:
            connected = response.extensions["network_stream"].get_extra_info("socket")
            assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0

    async def test_cookies_are_not_kept(self, upstream: Upstream, http_client: httpx.AsyncClient) -> None:
        upstream.answers(wire.whole(), headers={"Set-Cookie": "who=org-a; Path=/"})
        await http_client.post(upstream.url, json={})
        await http_client.post(upstream.url, json={})
        assert "cookie" not in upstream.seen[1].headers

    @pytest.mark.parametrize("stream", [False, True])
    async def test_cancelling_closes_the_connection(
        self, upstream: Upstream, openai_provider: ChatProvider, make_call: MakeCall, stream: bool
    ) -> None:
        started = asyncio.Event()

        async def handler(request: web.Request) -> web.StreamResponse:
            started.set()
            return await hang(request)

        if stream:
            upstream.streams(sse(*wire.text_stream("Hi")), then=handler)
        else:
            upstream.handler = handler
        task = asyncio.create_task(answer_of(openai_provider, make_call(stream=stream)))
        async with asyncio.timeout(5):
            await started.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await upstream.hung_up.wait()

    async def test_a_consumer_that_leaves_closes_the_connection(
        self, upstream: Upstream, openai_provider: ChatProvider, make_call: MakeCall
    ) -> None:
        upstream.streams(sse(*wire.text_stream("Hi")), then=hang)
        async with aclosing(openai_provider.call(make_call(stream=True))) as events:  # type: ignore[type-var]
            async for event in events:
                assert isinstance(event, Delta)
                break
        async with asyncio.timeout(5):
            await upstream.hung_up.wait()

    async def test_many_at_once(self, upstream: Upstream, openai_provider: ChatProvider, make_call: MakeCall) -> None:
        upstream.streams(sse(*wire.text_stream("a", "b"), "[DONE]"))
        answers = await asyncio.gather(*(answer_of(openai_provider, make_call(stream=True)) for _ in range(40)))
        assert {answer.choices[0].message["content"] for _, answer in answers} == {"ab"}


def test_the_request_is_not_changed_by_a_call(make_call: MakeCall) -> None:
    call = make_call(stream=True, metadata={"a": "b"})
    before = call.request.model_copy(deep=True)
    _body(call)
    assert call.request == before
