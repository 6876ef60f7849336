"""The Messages API over a real connection: headers, whole answers and every stream event."""

from __future__ import annotations

import httpx
import orjson
import pytest

from customhouse.contracts.catalog import Provider
from customhouse.contracts.chat import ChatCompletion, Json
from customhouse.integrations.providers.anthropic import AnthropicProvider
from customhouse.integrations.providers.base import ChatProvider
from tests.integrations.providers import wire_anthropic as wire
from tests.integrations.providers.calling import answer_of, failure_of, texts
from tests.integrations.providers.conftest import KEY, MakeCall
from tests.integrations.providers.server import Upstream, named_sse


def message_of(answer: ChatCompletion) -> Json:
    return answer.choices[0].message


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
async def test_address_and_headers(
    upstream: Upstream, http_client: httpx.AsyncClient, make_call: MakeCall, suffix: str
) -> None:
    config = {"name": "claude", "kind": "anthropic", "base_url": f"{upstream.url}{suffix}"}
    provider = AnthropicProvider(Provider.model_validate(config), KEY, http_client)
    upstream.answers(wire.message(wire.text("Hi")))
    await answer_of(provider, make_call())
    assert upstream.seen[0].path == "/v1/messages"
    headers = upstream.seen[0].headers
    assert (headers["x-api-key"], headers["anthropic-version"]) == (KEY, "2023-06-01")
    assert "authorization" not in headers


async def test_what_it_cannot_do_is_said_before_anything_is_sent(
    upstream: Upstream, anthropic_provider: ChatProvider, make_call: MakeCall
) -> None:
    failure = await failure_of(anthropic_provider, make_call(n=2))
    assert (failure.kind, failure.param, failure.provider_code) == ("terminal", "n", "unsupported_parameter")
    assert upstream.seen == []


class TestWhole:
    async def test_text_and_usage(
        self, upstream: Upstream, anthropic_provider: ChatProvider, make_call: MakeCall
    ) -> None:
        upstream.answers(wire.message(wire.text("Hello"), wire.text(" there.")))
        _, answer = await answer_of(anthropic_provider, make_call())
        assert (answer.id, answer.model) == ("msg_1", "claude-sonnet-5")
        assert message_of(answer) == {"role": "assistant", "content": "Hello there."}
        assert answer.usage is not None
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (33, 7, 40)
        assert (answer.usage.cached_tokens, answer.usage.cache_write_tokens) == (20, 3)
        assert answer.usage.completion_tokens_details == {"reasoning_tokens": 4}

    async def test_tool_calls(self, upstream: Upstream, anthropic_provider: ChatProvider, make_call: MakeCall) -> None:
        content = [wire.tool_use("toolu_1", "weather", city="Köln"), wire.tool_use("toolu_2", "now")]
        upstream.answers(wire.message(*content, stop_reason="tool_use"))
        _, answer = await answer_of(anthropic_provider, make_call())
        assert answer.choices[0].finish_reason == "tool_calls"
        assert message_of(answer)["content"] is None
        assert message_of(answer)["tool_calls"] == [
            {"id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Köln"}'}},
            {"id": "toolu_2", "type": "function", "function": {"name": "now", "arguments": "{}"}},
        ]

    async def test_thinking(self, upstream: Upstream, anthropic_provider: ChatProvider, make_call: MakeCall) -> None:
        blocks = [wire.thinking("Let me see."), {"type": "redacted_thinking", "data": "opaque"}]
        upstream.answers(wire.message(*blocks, wire.text("42")))
        _, answer = await answer_of(anthropic_provider, make_call())
        assert message_of(answer)["reasoning_content"] == "Let me see."
        assert message_of(answer)["thinking_blocks"] == blocks
        assert message_of(answer)["content"] == "42"

    @pytest.mark.parametrize(
        ("stop_reason", "finish_reason"),
        [
            ("end_turn", "stop"),
            ("stop_sequence", "stop"),
            ("pause_turn", "stop"),
            ("max_tokens", "length"),
            ("model_context_window_exceeded", "length"),
            ("refusal", "content_filter"),
        ],
    )
    async def test_stop_reasons(
        self,
        upstream: Upstream,
        anthropic_provider: ChatProvider,
        make_call: MakeCall,
        stop_reason: str,
        finish_reason: str,
    ) -> None:
        upstream.answers(wire.message(wire.text("Hi"), stop_reason=stop_reason))
        _, answer = await answer_of(anthropic_provider, make_call())
        assert answer.choices[0].finish_reason == finish_reason

    async def test_a_refusal_says_why(
        self, upstream: Upstream, anthropic_provider: ChatProvider, make_call: MakeCall
    ) -> None:
        details = {"type": "refusal", "category": "cyber", "explanation": "This could enable harm."}
        upstream.answers(wire.message(stop_reason="refusal", stop_details=details))
        _, answer = await answer_of(anthropic_provider, make_call())
        assert message_of(answer) == {"role": "assistant", "content": "", "refusal": "This could enable harm."}


class TestStream:
    async def test_every_kind_of_event(
        self, upstream: Upstream, anthropic_provider: ChatProvider, make_call: MakeCall
    ) -> None:
        thought = wire.block(
            0,
            wire.thinking("", ""),
            {"type": "thinking_delta", "thinking": "Let me"},
            {"type": "thinking_delta", "thinking": " see."},
            {"type": "signature_delta", "signature": "c2ln"},
        )
        call = wire.block(
            2,
            wire.tool_use("toolu_1", "weather"),
            {"type": "input_json_delta", "partial_json": ""},
            {"type": "input_json_delta", "partial_json": '{"city":'},
            {"type": "input_json_delta", "partial_json": ' "Köln"}'},
        )
        extras: list[Json] = [{"type": "ping"}, {"type": "novelty", "x": 1}]
        events = wire.stream(
            thought, extras, wire.text_block(1, "It is", " so."), call, wire.block(3, wire.tool_use("toolu_2", "now")),
            stop_reason="tool_use", output_tokens=9, input_tokens=12, cache_read_input_tokens=None,
        )  # fmt: skip
        upstream.streams(named_sse(*events))
        chunks, answer = await answer_of(anthropic_provider, make_call(stream=True))

        assert upstream.seen[0].body["stream"] is True
        assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
        assert texts(chunks) == "It is so."
        assert texts(chunks, "reasoning_content") == "Let me see."
        assert [c["choices"][0]["finish_reason"] for c in chunks if c["choices"]][-1] == "tool_calls"
        assert chunks[-1]["choices"] == []
        assert {chunk["id"] for chunk in chunks} == {"msg_1"}

        message = message_of(answer)
        assert message["content"] == "It is so."
        assert message["reasoning_content"] == "Let me see."
        assert message["thinking_blocks"] == [wire.thinking("Let me see.", "c2ln")]
        assert [call["id"] for call in message["tool_calls"]] == ["toolu_1", "toolu_2"]
        arguments = [orjson.loads(call["function"]["arguments"]) for call in message["tool_calls"]]
        assert arguments == [{"city": "Köln"}, {}]
        assert answer.usage is not None
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (12 + 20 + 3, 9)
        assert (answer.usage.cached_tokens, answer.usage.cache_write_tokens) == (20, 3)

    async def test_a_refusal(self, upstream: Upstream, anthropic_provider: ChatProvider, make_call: MakeCall) -> None:
        details = {"type": "refusal", "category": "bio", "explanation": "No."}
        upstream.streams(named_sse(*wire.stream(wire.text_block(0, "I "), stop_reason="refusal", stop_details=details)))
        chunks, answer = await answer_of(anthropic_provider, make_call(stream=True))
        assert texts(chunks, "refusal") == "No."
        assert message_of(answer)["refusal"] == "No."
        assert answer.choices[0].finish_reason == "content_filter"

    async def test_says_the_same_as_the_whole_answer(
        self, upstream: Upstream, anthropic_provider: ChatProvider, make_call: MakeCall
    ) -> None:
        content = [wire.text("Hello"), wire.tool_use("toolu_1", "weather", city="Rome")]
        upstream.answers(wire.message(*content, stop_reason="tool_use"))
        _, whole = await answer_of(anthropic_provider, make_call())
        call = wire.block(
            1, wire.tool_use("toolu_1", "weather"), {"type": "input_json_delta", "partial_json": '{"city":"Rome"}'}
        )
        details = {"output_tokens_details": {"thinking_tokens": 4}}
        upstream.streams(
            named_sse(*wire.stream(wire.text_block(0, "Hel", "lo"), call, stop_reason="tool_use", **details))
        )
        _, streamed = await answer_of(anthropic_provider, make_call(stream=True))
        assert streamed.model_copy(update={"created": 0}) == whole.model_copy(update={"created": 0})


@pytest.mark.parametrize(
    ("status", "code", "said", "kind"),
    [
        (400, "invalid_request_error", "prompt is too long: 345320 tokens > 199999 maximum", "reroutable"),
        (400, "invalid_request_error", "Your credit balance is too low to access the API.", "reroutable"),
        (400, "invalid_request_error", "messages: roles must alternate", "terminal"),
        (401, "authentication_error", "invalid x-api-key", "terminal"),
        (402, "billing_error", "Payment required", "reroutable"),
        (404, "not_found_error", "model: claude-1", "reroutable"),
        (413, "request_too_large", "Request exceeds the maximum size", "reroutable"),
        (429, "rate_limit_error", "Number of requests has exceeded your limit", "retryable"),
        (529, "overloaded_error", "Overloaded", "retryable"),
    ],
)
async def test_errors(
    upstream: Upstream,
    anthropic_provider: ChatProvider,
    make_call: MakeCall,
    status: int,
    code: str,
    said: str,
    kind: str,
) -> None:
    body = {"type": "error", "error": {"type": code, "message": said}, "request_id": "req_1"}
    upstream.answers(body, status=status)
    failure = await failure_of(anthropic_provider, make_call())
    assert (failure.kind, failure.provider_status, failure.provider_code) == (kind, status, code)
    assert said in failure.message
    if status == 401:
        assert "CLAUDE_KEY" in failure.message
