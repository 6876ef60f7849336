"""Answers as OpenAI's API and compatible servers send them."""

from __future__ import annotations

from typing import Any

from customhouse.contracts.chat import Json

USAGE: Json = {
    "prompt_tokens": 11,
    "completion_tokens": 5,
    "total_tokens": 16,
    "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 2},
}


def whole(**changes: Any) -> Json:
    message: Json = {"role": "assistant", "content": "Hello there.", "refusal": None, "annotations": []}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_770_000_000,
        "model": "upstream-model-2026-01-01",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": USAGE,
        "service_tier": "default",
        "system_fingerprint": "fp_1",
        **changes,
    }


def chunk(delta: Json | None = None, finish: str | None = None, *, index: object = 0, **changes: Any) -> Json:
    choice = {"index": index, "delta": delta or {}, "logprobs": None, "finish_reason": finish}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_770_000_000,
        "model": "upstream-model-2026-01-01",
        "system_fingerprint": "fp_1",
        "choices": [choice],
        "usage": None,
        **changes,
    }


def usage_chunk() -> Json:
    return chunk(choices=[], usage=USAGE)


def text_stream(*words: str) -> list[Json]:
    start = chunk({"role": "assistant", "content": "", "refusal": None})
    return [start, *(chunk({"content": word}) for word in words), chunk(finish="stop"), usage_chunk()]


def call_delta(index: int, arguments: str, *, id: str | None = None, name: str | None = None) -> Json:  # noqa: A002
    function = {"arguments": arguments} | ({"name": name} if name else {})
    call: Json = {"index": index, "function": function} | ({"id": id, "type": "function"} if id else {})
    return {"tool_calls": [call]}
