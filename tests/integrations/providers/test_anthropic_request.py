"""Requests of OpenAI's shape as requests of the Messages API, held against the official SDK's types."""

from __future__ import annotations

from typing import Any

import pytest
from anthropic.types.message_create_params import MessageCreateParams, MessageCreateParamsBase
from pydantic import TypeAdapter

from customhouse.contracts.catalog import Deployment
from customhouse.contracts.chat import ChatRequest, Json
from customhouse.contracts.errors import FailureKind, ProviderError
from customhouse.integrations.providers.anthropic_request import messages_request

_SDK: TypeAdapter[Any] = TypeAdapter(MessageCreateParams)
_OLDER = {"temperature", "top_p", "top_k"}
"""Taken by older models; the SDK's types have dropped them."""

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def translate(*, model: str = "claude-sonnet-5", stream: bool = False, limit: int | None = None, **fields: Any) -> Json:
    asked = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **fields}
    deployment = Deployment(model="m", provider="claude", upstream_model=model, max_output_tokens=limit)
    body = messages_request(ChatRequest.model_validate(asked), deployment, stream=stream)
    _exhaust(_SDK.validate_python(body))
    assert body.keys() <= MessageCreateParamsBase.__annotations__.keys() | {"stream"} | _OLDER
    return body


def _exhaust(value: Any) -> None:
    """pydantic checks the SDK's iterables only as they are read."""
    if isinstance(value, dict):
        for item in value.values():
            _exhaust(item)
    elif hasattr(value, "__iter__") and not isinstance(value, (str, bytes)):
        for item in value:
            _exhaust(item)


def refused(**fields: Any) -> str | None:
    with pytest.raises(ProviderError) as caught:
        translate(**fields)
    assert caught.value.kind is FailureKind.TERMINAL
    assert caught.value.param is not None
    assert caught.value.param in caught.value.message
    return caught.value.param


class TestBasics:
    def test_the_least(self) -> None:
        assert translate(stream=True) == {
            "model": "claude-sonnet-5",
            "max_tokens": 4096,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
            "stream": True,
        }

    def test_max_tokens(self) -> None:
        assert translate(limit=64_000)["max_tokens"] == 64_000
        assert translate(limit=64_000, max_tokens=5)["max_tokens"] == 5
        assert translate(max_tokens=5, max_completion_tokens=6)["max_tokens"] == 6

    def test_stop_sequences(self) -> None:
        assert translate(stop="END")["stop_sequences"] == ["END"]
        assert translate(stop=["a", "\n", "b"])["stop_sequences"] == ["a", "b"]
        assert "stop_sequences" not in translate(stop="\n\n")

    @pytest.mark.parametrize(
        ("model", "sent"),
        [
            ("claude-3-5-haiku-20241022", True),
            ("claude-sonnet-4-20250514", True),
            ("claude-haiku-4-5", True),
            ("claude-sonnet-4-5-20250929", True),
            ("claude-opus-4-6", True),
            ("some-compatible-model", True),
            ("claude-opus-4-7", False),
            ("claude-opus-4-8", False),
            ("claude-sonnet-5", False),
            ("claude-haiku-5-5", False),
        ],
    )
    def test_sampling_goes_only_to_models_that_take_it(self, model: str, sent: bool) -> None:
        body = translate(model=model, temperature=0.3, top_p=0.9, top_k=5)
        assert {key: body.get(key) for key in _OLDER} == (
            {"temperature": 0.3, "top_p": 0.9, "top_k": 5} if sent else dict.fromkeys(_OLDER)
        )

    def test_temperature_is_capped(self) -> None:
        assert translate(model="claude-haiku-4-5", temperature=1.7)["temperature"] == 1.0

    def test_the_user_becomes_opaque(self) -> None:
        body = translate(user="jane@example.com")
        assert len(body["metadata"]["user_id"]) == 64
        assert body["metadata"] == translate(safety_identifier="jane@example.com")["metadata"]

    def test_reasoning(self) -> None:
        assert translate(reasoning_effort="high")["output_config"] == {"effort": "high"}
        assert translate(reasoning_effort="none")["thinking"] == {"type": "disabled"}
        assert translate(thinking={"type": "adaptive"})["thinking"] == {"type": "adaptive"}

    def test_hints_and_labels_are_left_out(self) -> None:
        hints: Json = {"seed": 1, "presence_penalty": 0.5, "frequency_penalty": 0.5, "store": True, "verbosity": "low"}
        labels: Json = {"metadata": {"agent": "a"}, "stream_options": {"include_usage": True}, "service_tier": "flex"}
        elsewhere: Json = {"inference_geo": "us", "unheard_of": 1, "n": 1, "logprobs": False, "modalities": ["text"]}
        assert translate(**hints, **labels, **elsewhere) == translate()

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("n", 2),
            ("logprobs", True),
            ("top_logprobs", 3),
            ("logit_bias", {"1": -100}),
            ("functions", [{"name": "f"}]),
            ("function_call", "auto"),
            ("audio", {"voice": "alloy", "format": "wav"}),
            ("modalities", ["text", "audio"]),
            ("web_search_options", {"search_context_size": "low"}),
            ("response_format", {"type": "grammar"}),
            ("response_format", {"type": "json_schema", "json_schema": {"name": "x"}}),
            ("tool_choice", None),
        ],
    )
    def test_what_has_no_counterpart_is_refused_by_name(self, field: str, value: object) -> None:
        if field == "tool_choice":
            assert refused(tools=[WEATHER], tool_choice={"type": "custom", "custom": {"name": "x"}}) == "tool_choice"
        else:
            assert refused(**{field: value}) == field


class TestTools:
    def test_a_tool(self) -> None:
        body = translate(tools=[WEATHER, {"type": "function", "function": {"name": "now"}}])
        assert body["tools"] == [
            {
                "name": "weather",
                "description": "The weather in a city.",
                "input_schema": WEATHER["function"]["parameters"],  # type: ignore[index]
            },
            {"name": "now", "input_schema": {"type": "object", "properties": {}}},
        ]
        assert "tool_choice" not in body

    def test_a_strict_tool_has_a_supported_schema(self) -> None:
        function = {**WEATHER["function"], "strict": True}  # type: ignore[dict-item]
        tool = translate(tools=[{"type": "function", "function": function}])["tools"][0]
        assert tool["strict"] is True
        assert tool["input_schema"]["additionalProperties"] is False

    @pytest.mark.parametrize(
        ("asked", "sent"),
        [
            ({"tool_choice": "auto"}, None),
            ({"tool_choice": "none"}, {"type": "none"}),
            ({"tool_choice": "required"}, {"type": "any"}),
            (
                {"tool_choice": {"type": "function", "function": {"name": "weather"}}},
                {"type": "tool", "name": "weather"},
            ),
            ({"parallel_tool_calls": True}, None),
            ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
            (
                {"parallel_tool_calls": False, "tool_choice": "required"},
                {"type": "any", "disable_parallel_tool_use": True},
            ),
            ({"parallel_tool_calls": False, "tool_choice": "none"}, {"type": "none"}),
        ],
    )
    def test_choice(self, asked: Json, sent: Json | None) -> None:
        assert translate(tools=[WEATHER], **asked).get("tool_choice") == sent

    def test_allowed_tools(self) -> None:
        other = {"type": "function", "function": {"name": "now"}}
        allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "now"}}]}
        body = translate(tools=[WEATHER, other], tool_choice={"type": "allowed_tools", "allowed_tools": allowed})
        assert [tool["name"] for tool in body["tools"]] == ["now"]
        assert body["tool_choice"] == {"type": "any"}

    def test_without_tools_there_is_no_choice(self) -> None:
        assert translate(tool_choice="auto", parallel_tool_calls=False) == translate()

    def test_other_kinds_are_refused(self) -> None:
        assert refused(tools=[WEATHER, {"type": "custom", "custom": {"name": "x"}}]) == "tools.1"
        assert refused(tools=[{"type": "function", "function": {}}]) == "tools.0"


class TestFormats:
    def test_json_schema(self) -> None:
        schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}, "required": ["a"]}
        wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}
        assert translate(response_format=wanted, reasoning_effort="low")["output_config"] == {
            "effort": "low",
            "format": {
                "type": "json_schema",
                "schema": {
                    "type": "object",
                    "properties": {"a": {"type": "integer", "description": "{minimum: 1}"}},
                    "required": ["a"],
                    "additionalProperties": False,
                },
            },
        }

    def test_json_object_is_asked_for_in_words(self) -> None:
        body = translate(response_format={"type": "json_object"})
        assert "JSON object" in body["system"][0]["text"]
        assert translate(response_format={"type": "text"}) == translate()


class TestConversation:
    def test_a_whole_one(self) -> None:
        call = {"id": "call:1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
        other = {"id": "call_2", "type": "function", "function": {"name": "now", "arguments": ""}}
        body = translate(
            messages=[
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Weather in Rome?"},
                {"role": "assistant", "content": None, "tool_calls": [call, other]},
                {"role": "tool", "tool_call_id": "call:1", "content": "Sunny"},
                {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "Noon"}]},
                {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
                {"role": "user", "content": "And?", "name": "jane"},
                {"role": "assistant", "content": [{"type": "refusal", "refusal": "No. "}]},
            ],
            tools=[WEATHER],
        )
        assert body["system"] == [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}]
        assert body["messages"] == [
            {"role": "user", "content": [{"type": "text", "text": "Weather in Rome?"}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Rome"}},
                    {"type": "tool_use", "id": "call_2", "name": "now", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "call_1", "content": [{"type": "text", "text": "Sunny"}]},
                    {"type": "tool_result", "tool_use_id": "call_2", "content": [{"type": "text", "text": "Noon"}]},
                    {"type": "text", "text": "And?"},
                ],
            },
            {"role": "assistant", "content": [{"type": "text", "text": "No."}]},
        ]

    def test_images_and_files(self) -> None:
        parts = [
            {"type": "text", "text": "Look:"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.jpg"}},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk=", "filename": "a.pdf"}},
        ]
        assert translate(messages=[{"role": "user", "content": parts}])["messages"][0]["content"][1:] == [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
            {"type": "image", "source": {"type": "url", "url": "https://example.com/a.jpg"}},
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="}},
        ]

    def test_thinking_goes_back_first(self) -> None:
        thought = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
        turns = translate(
            messages=[
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Yes", "thinking_blocks": [thought]},
                {"role": "user", "content": "Go on"},
            ]
        )["messages"]
        assert turns[1]["content"] == [thought, {"type": "text", "text": "Yes"}]

    def test_cache_control_is_kept(self) -> None:
        mark = {"type": "ephemeral"}
        body = translate(
            messages=[
                {"role": "system", "content": [{"type": "text", "text": "Long.", "cache_control": mark}]},
                {"role": "user", "content": "Hi", "cache_control": mark},
            ],
            tools=[{**WEATHER, "cache_control": mark}],
        )
        assert body["system"][0]["cache_control"] == mark
        assert body["messages"][0]["content"][0]["cache_control"] == mark
        assert body["tools"][0]["cache_control"] == mark

    def test_empty_texts_are_left_out(self) -> None:
        body = translate(messages=[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": ""}])
        assert len(body["messages"]) == 1

    @pytest.mark.parametrize(
        ("message", "param"),
        [
            ({"role": "system", "content": "Alone."}, "messages"),
            ({"role": "user", "content": ""}, "messages"),
            ({"role": "function", "content": "x", "name": "f"}, "messages.0.role"),
            ({"role": "assistant", "content": None, "function_call": {"name": "f"}}, "messages.0.function_call"),
            ({"role": "tool", "content": "x"}, "messages.0"),
            ({"role": "assistant", "content": "x", "thinking_blocks": "x"}, "messages.0.thinking_blocks"),
        ],
    )
    def test_refused_messages(self, message: Json, param: str) -> None:
        assert refused(messages=[message]) == param

    @pytest.mark.parametrize(
        ("part", "param"),
        [
            ({"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}, "messages.0.content.0"),
            ({"type": "image_url", "image_url": {"url": "ftp://x"}}, "messages.0.content.0.image_url"),
            (
                {"type": "image_url", "image_url": {"url": "data:text/plain;base64,aGk="}},
                "messages.0.content.0.image_url",
            ),
            ({"type": "image_url"}, "messages.0.content.0.image_url"),
            ({"type": "file", "file": {"file_id": "file-1"}}, "messages.0.content.0.file.file_data"),
        ],
    )
    def test_refused_parts(self, part: Json, param: str) -> None:
        assert refused(messages=[{"role": "user", "content": [part]}]) == param

    @pytest.mark.parametrize("arguments", ["{", "[]", "1"])
    def test_arguments_must_be_an_object(self, arguments: str) -> None:
        call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
        param = refused(messages=[{"role": "assistant", "content": None, "tool_calls": [call]}])
        assert param == "messages.0.tool_calls.0.function.arguments"
