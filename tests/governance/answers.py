"""Builds answers and chunks as a provider sends them."""

from __future__ import annotations

from collections.abc import Iterable

from customhouse.contracts.chat import ChatCompletion, Json


def chunk(delta: Json, *, index: int = 0, **beside: object) -> Json:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "m",
        "choices": [{"index": index, "delta": delta, "finish_reason": None, **beside}],
    }


def answer(*messages: Json, finish_reason: str = "stop", **fields: object) -> ChatCompletion:
    return ChatCompletion.model_validate(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": "m",
            "choices": [
                {"index": index, "message": {"role": "assistant", **message}, "finish_reason": finish_reason}
                for index, message in enumerate(messages)
            ],
            **fields,
        }
    )


def joined(chunks: Iterable[Json], field: str = "content", index: int = 0) -> str:
    """The text that a client puts together."""
    return "".join(
        choice["delta"].get(field) or "" for item in chunks for choice in item["choices"] if choice["index"] == index
    )
