"""Parameters of OpenAI's shape as those of the Messages API."""

from __future__ import annotations

import pytest

from customhouse.contracts.chat import Json
from tests.integrations.providers.translating import OLDER, WEATHER, refused, translate


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
        assert {key: body.get(key) for key in OLDER} == (
            {"temperature": 0.3, "top_p": 0.9, "top_k": 5} if sent else dict.fromkeys(OLDER)
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
                "input_schema": WEATHER["function"]["parameters"],
            },
            {"name": "now", "input_schema": {"type": "object", "properties": {}}},
        ]
        assert "tool_choice" not in body

    def test_a_strict_tool_has_a_supported_schema(self) -> None:
        function = {**WEATHER["function"], "strict": True}
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
