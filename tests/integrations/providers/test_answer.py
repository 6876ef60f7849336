"""Chunks put together, held against what OpenAI's own client makes of them."""

from __future__ import annotations

from typing import Any

import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion as OpenAICompletion
from openai.types.chat import ChatCompletionChunk

from customhouse.contracts.chat import Json
from customhouse.integrations.providers.answer import AnswerBuilder
from tests.integrations.providers.wire_openai import call_delta, chunk, text_stream, usage_chunk


def built(*chunks: Json) -> Json:
    builder = AnswerBuilder()
    for one in chunks:
        builder.add(one)
    assert builder.lacking is None
    return builder.build().model_dump(mode="json")


def token(text: str) -> Json:
    return {"token": text, "logprob": -0.1, "bytes": list(text.encode()), "top_logprobs": []}


def with_logprobs(text: str) -> Json:
    made = chunk({"content": text})
    made["choices"][0]["logprobs"] = {"content": [token(text)], "refusal": None}
    return made


STREAMS = {
    "text": text_stream("Hello", " there"),
    "two choices": [
        chunk({"role": "assistant", "content": ""}),
        chunk({"role": "assistant", "content": ""}, index=1),
        chunk({"content": "B"}, index=1),
        chunk({"content": "A"}),
        chunk({"content": "b"}, index=1),
        chunk(finish="stop", index=1),
        chunk({"content": "a"}),
        chunk(finish="stop"),
        usage_chunk(),
    ],
    "tool calls": [
        chunk({"role": "assistant", "content": None}),
        chunk(call_delta(0, "", id="call_a", name="weather")),
        chunk(call_delta(0, '{"city":')),
        chunk(call_delta(1, "", id="call_b", name="now")),
        chunk(call_delta(0, '"Rome"}')),
        chunk(call_delta(1, "{}")),
        chunk(finish="tool_calls"),
        usage_chunk(),
    ],
    "refusal": [
        chunk({"role": "assistant", "content": None, "refusal": ""}),
        chunk({"refusal": "I can"}),
        chunk({"refusal": "not."}),
        chunk(finish="stop"),
        usage_chunk(),
    ],
    "logprobs": [
        chunk({"role": "assistant"}),
        with_logprobs("A"),
        with_logprobs("b"),
        chunk(finish="stop"),
        usage_chunk(),
    ],
}


@pytest.mark.parametrize("name", STREAMS)
def test_agrees_with_the_official_client(name: str) -> None:
    chunks = STREAMS[name]
    state: ChatCompletionStreamState[Any] = ChatCompletionStreamState()
    for one in chunks:
        state.handle_chunk(ChatCompletionChunk.model_validate(one))
    theirs = state.get_final_completion().model_dump(mode="json", exclude_none=True)
    ours = OpenAICompletion.model_validate(built(*chunks)).model_dump(mode="json", exclude_none=True)
    for completion in (theirs, ours):
        completion["choices"].sort(key=lambda choice: choice["index"])
        for choice in completion["choices"]:
            for call in choice["message"].get("tool_calls") or []:
                for extra in ("index", "parsed_arguments"):
                    call.pop(extra, None)
                    call["function"].pop(extra, None)
    assert ours == theirs


def test_reasoning_and_unknown_fields_are_kept() -> None:
    answer = built(
        chunk({"role": "assistant", "reasoning_content": "Let "}),
        chunk({"reasoning_content": "me see.", "annotations": [{"type": "url_citation"}]}),
        chunk({"content": "42", "annotations": [{"type": "url_citation"}], "audio": {"id": "a", "data": "AA"}}),
        chunk({"audio": {"id": "a", "data": "BB", "expires_at": 5}}, "stop", service_tier="default"),
    )
    message = answer["choices"][0]["message"]
    assert message["reasoning_content"] == "Let me see."
    assert message["content"] == "42"
    assert len(message["annotations"]) == 2
    assert message["audio"] == {"id": "a", "data": "AABB", "expires_at": 5}
    assert answer["service_tier"] == "default"
    assert "usage" not in answer


def test_custom_tool_calls() -> None:
    first = {"index": 0, "id": "c", "type": "custom", "custom": {"name": "sql", "input": "SELECT"}}
    answer = built(
        chunk({"role": "assistant", "tool_calls": [first]}),
        chunk({"tool_calls": [{"index": 0, "custom": {"input": " 1"}}]}),
        chunk(finish="tool_calls"),
    )
    call = {"type": "custom", "id": "c", "custom": {"name": "sql", "input": "SELECT 1"}}
    assert answer["choices"][0]["message"]["tool_calls"] == [call]


def test_tool_calls_without_an_index_or_with_a_repeated_name() -> None:
    def call(arguments: str, **fields: Any) -> Json:
        return chunk({"tool_calls": [{"function": {"name": "f", "arguments": arguments}, **fields}]})

    answer = built(call('{"a":', id="1"), call("1}"), call("{}", id="2"), chunk(finish="tool_calls"))
    calls = answer["choices"][0]["message"]["tool_calls"]
    assert [(c["id"], c["function"]) for c in calls] == [
        ("1", {"name": "f", "arguments": '{"a":1}'}),
        ("2", {"name": "f", "arguments": "{}"}),
    ]


def test_says_what_is_lacking() -> None:
    builder = AnswerBuilder()
    assert builder.lacking == "any choice"
    builder.add(chunk({"content": "a"}))
    builder.add(chunk({"content": "b"}, "stop", index=1))
    assert builder.lacking == "a finish_reason for choice 0"
    builder.add(chunk(finish="stop"))
    assert builder.lacking is None


def test_usage_with_every_chunk_counts_once() -> None:
    running = [{"prompt_tokens": 3, "completion_tokens": n, "total_tokens": 3 + n} for n in (1, 2)]
    answer = built(chunk({"content": "a"}, usage=running[0]), chunk({"content": "b"}, "stop", usage=running[1]))
    assert answer["usage"]["completion_tokens"] == 2
