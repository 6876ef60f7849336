"""Answers and events as Anthropic's Messages API sends them."""

from __future__ import annotations

from typing import Any

from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from customhouse.contracts.chat import Json

USAGE: Json = {
    "input_tokens": 10,
    "cache_creation_input_tokens": 3,
    "cache_read_input_tokens": 20,
    "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 7,
    "output_tokens_details": {"thinking_tokens": 4},
    "service_tier": "standard",
}

_EVENT: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)


def message(*content: Json, stop_reason: str = "end_turn", **changes: Any) -> Json:
    body = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5",
        "content": list(content),
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "stop_details": None,
        "usage": USAGE,
        **changes,
    }
    Message.model_validate(body)
    return body


def text(value: str) -> Json:
    return {"type": "text", "text": value, "citations": None}


def thinking(value: str, signature: str = "c2lnbmVk") -> Json:
    return {"type": "thinking", "thinking": value, "signature": signature}


def tool_use(id: str, name: str, **arguments: Any) -> Json:  # noqa: A002
    return {"type": "tool_use", "id": id, "name": name, "input": arguments}


def start(**usage: Any) -> Json:
    counts = {"input_tokens": 10, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 20, "output_tokens": 1}
    empty = message(usage={**counts, **usage})
    return {"type": "message_start", "message": {**empty, "stop_reason": None}}


def block(index: int, content_block: Json, *deltas: Json) -> list[Json]:
    return [
        {"type": "content_block_start", "index": index, "content_block": content_block},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def text_block(index: int, *words: str) -> list[Json]:
    return block(index, text(""), *({"type": "text_delta", "text": word} for word in words))


def end(stop_reason: str = "end_turn", stop_details: Json | None = None, **usage: Any) -> list[Json]:
    delta = {"stop_reason": stop_reason, "stop_sequence": None, "stop_details": stop_details}
    return [{"type": "message_delta", "delta": delta, "usage": {"output_tokens": 7, **usage}}, {"type": "message_stop"}]


def stream(*parts: list[Json], **end_of: Any) -> list[Json]:
    events = [start(), *(event for part in parts for event in part), *end(**end_of)]
    for event in events:
        if event["type"] not in ("ping", "novelty"):
            _EVENT.validate_python(event)
    return events
