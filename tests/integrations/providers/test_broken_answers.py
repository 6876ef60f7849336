"""Answers with status 200 that are not what the API promises, each over a real connection."""

from __future__ import annotations

import pytest
from aiohttp import web

from customhouse.contracts.chat import Json
from customhouse.contracts.errors import FailureKind
from customhouse.integrations.providers.base import ChatProvider
from tests.integrations.providers import wire_anthropic, wire_openai
from tests.integrations.providers.calling import failure_of
from tests.integrations.providers.conftest import MakeCall
from tests.integrations.providers.server import Upstream, named_sse, reset, sse

RETRYABLE, REROUTABLE, TERMINAL = FailureKind.RETRYABLE, FailureKind.REROUTABLE, FailureKind.TERMINAL


class TestBodies:
    @pytest.mark.parametrize("body", [b"", b"  ", b"{", b'{"choices": [{"ind', b"[]", b"null", b'"text"', b"{}"])
    async def test_not_an_answer(
        self, upstream: Upstream, provider: ChatProvider, make_call: MakeCall, body: bytes
    ) -> None:
        upstream.answers(body, headers={"Content-Type": "application/json"})
        failure = await failure_of(provider, make_call())
        assert (failure.kind, failure.provider_code) == (RETRYABLE, "malformed_answer")

    @pytest.mark.parametrize("choices", [None, [], "x", [1], [{}], [{"message": "text"}]])
    async def test_no_usable_choice(
        self, upstream: Upstream, openai_provider: ChatProvider, make_call: MakeCall, choices: object
    ) -> None:
        upstream.answers(wire_openai.whole(choices=choices))
        failure = await failure_of(openai_provider, make_call())
        assert (failure.kind, failure.provider_code) == (RETRYABLE, "malformed_answer")

    async def test_a_html_page_with_status_200(
        self, upstream: Upstream, provider: ChatProvider, make_call: MakeCall
    ) -> None:
        upstream.answers("<html>Please log in</html>")
        failure = await failure_of(provider, make_call())
        assert failure.provider_code == "malformed_answer"
        assert "text/html" in failure.message

    async def test_a_body_shorter_than_announced(
        self, upstream: Upstream, provider: ChatProvider, make_call: MakeCall
    ) -> None:
        async def handler(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "1000"})
            await response.prepare(request)
            await response.write(b'{"id": ')
            return await reset(request)

        upstream.handler = handler
        failure = await failure_of(provider, make_call())
        assert (failure.kind, failure.provider_code) == (RETRYABLE, "connection_reset")

    async def test_an_error_object_with_status_200(
        self, upstream: Upstream, openai_provider: ChatProvider, make_call: MakeCall
    ) -> None:
        upstream.answers({"error": {"message": "No such model.", "code": 404}})
        failure = await failure_of(openai_provider, make_call())
        assert (failure.kind, failure.provider_status) == (REROUTABLE, 200)


OPENING = [wire_anthropic.start(), *wire_anthropic.text_block(0, "Hel")]


class TestStreams:
    @pytest.mark.parametrize(
        ("events", "code"),
        [
            ([], "broken_stream"),
            (["[DONE]"], "broken_stream"),
            ([wire_openai.chunk({"content": "Hel"})], "broken_stream"),
            ([wire_openai.chunk({"content": "Hel"}), "[DONE]"], "broken_stream"),
            ([wire_openai.chunk({"content": "Hello"}, "stop")], "broken_stream"),
            ([wire_openai.chunk({}, "stop"), wire_openai.chunk({"content": "x"}, index=1), "[DONE]"], "broken_stream"),
            (['{"choices": [{"delta": {"cont'], "malformed_answer"),
            (["[]"], "malformed_answer"),
            ([{"choices": ["x"]}], "malformed_answer"),
            ([{"choices": [{"delta": "x"}]}], "malformed_answer"),
            ([wire_openai.chunk({}, "stop", id=7), "[DONE]"], "malformed_answer"),
            ([wire_openai.chunk({}, "stop"), wire_openai.chunk({}, "stop", index="a"), "[DONE]"], "malformed_answer"),
        ],
    )
    async def test_openai(
        self,
        upstream: Upstream,
        openai_provider: ChatProvider,
        make_call: MakeCall,
        events: list[Json | str],
        code: str,
    ) -> None:
        upstream.streams(sse(*events))
        failure = await failure_of(openai_provider, make_call(stream=True))
        assert (failure.kind, failure.provider_code) == (RETRYABLE, code)

    @pytest.mark.parametrize(
        ("events", "code"),
        [
            ([], "broken_stream"),
            (OPENING, "broken_stream"),
            ([*OPENING, {"type": "message_stop"}], "broken_stream"),
            ([*OPENING, wire_anthropic.end()[0]], "broken_stream"),
            (wire_anthropic.end(), "malformed_answer"),
            ([{"type": "message_start", "message": {}}], "malformed_answer"),
            ([wire_anthropic.start(), {"type": "content_block_stop", "index": 5}], "malformed_answer"),
        ],
    )
    async def test_anthropic(
        self, upstream: Upstream, anthropic_provider: ChatProvider, make_call: MakeCall, events: list[Json], code: str
    ) -> None:
        upstream.streams(named_sse(*events))
        failure = await failure_of(anthropic_provider, make_call(stream=True))
        assert (failure.kind, failure.provider_code) == (RETRYABLE, code)

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            ({"message": "Boom", "type": "server_error", "code": None}, RETRYABLE),
            ({"message": "Slow down", "type": "requests", "code": "rate_limit_exceeded"}, RETRYABLE),
            ({"message": "Too long", "code": "context_length_exceeded"}, REROUTABLE),
            ({"message": "Bad field", "type": "invalid_request_error"}, TERMINAL),
            ({"message": "Compute error", "code": 500}, RETRYABLE),
            ("just text", RETRYABLE),
        ],
    )
    async def test_an_error_amid_openais(
        self, upstream: Upstream, openai_provider: ChatProvider, make_call: MakeCall, error: object, kind: FailureKind
    ) -> None:
        upstream.streams(sse(wire_openai.chunk({"content": "Hel"}), {"error": error}))
        failure = await failure_of(openai_provider, make_call(stream=True))
        assert (failure.kind, failure.provider_status) == (kind, 200)

    @pytest.mark.parametrize(
        ("code", "kind"),
        [("overloaded_error", RETRYABLE), ("api_error", RETRYABLE), ("invalid_request_error", TERMINAL)],
    )
    async def test_an_error_amid_anthropics(
        self, upstream: Upstream, anthropic_provider: ChatProvider, make_call: MakeCall, code: str, kind: FailureKind
    ) -> None:
        error = {"type": "error", "error": {"type": code, "message": "Overloaded"}, "request_id": "req_1"}
        upstream.streams(named_sse(*OPENING, error))
        failure = await failure_of(anthropic_provider, make_call(stream=True))
        assert (failure.kind, failure.provider_code) == (kind, code)
        assert "Overloaded" in failure.message

    @pytest.mark.parametrize(("body", "kind"), [("<html>", RETRYABLE), (wire_openai.whole(), REROUTABLE)])
    async def test_no_stream_at_all(
        self, upstream: Upstream, provider: ChatProvider, make_call: MakeCall, body: object, kind: FailureKind
    ) -> None:
        upstream.answers(body)
        failure = await failure_of(provider, make_call(stream=True))
        assert (failure.kind, failure.provider_code) == (kind, "not_a_stream")

    async def test_an_endless_event_is_cut_off(
        self,
        upstream: Upstream,
        openai_provider: ChatProvider,
        make_call: MakeCall,
        monkeypatch: pytest.MonkeyPatch,
        stream: bool,
    ) -> None:
        monkeypatch.setattr("customhouse.integrations.providers.exchange.MAX_ANSWER_BYTES", 2**20)

        async def flood(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            while True:
                await response.write(b"data: x" * 10_000)

        upstream.handler = flood
        failure = await failure_of(openai_provider, make_call(stream=stream))
        assert (failure.kind, failure.provider_code) == (TERMINAL, "answer_too_large")
