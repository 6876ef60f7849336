"""Conversations of OpenAI's shape as those of the Messages API."""

from __future__ import annotations

import pytest

from customhouse.contracts.chat import Json
from tests.integrations.providers.translating import WEATHER, refused, translate


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
