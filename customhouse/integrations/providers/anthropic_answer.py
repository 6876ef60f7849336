"""An answer of the Messages API as a chat completion.

Thinking becomes `reasoning_content`, as other servers of OpenAI's shape call it. The blocks themselves, whose
signatures Anthropic wants back in the next turn, go along as `thinking_blocks`.
"""

from __future__ import annotations

import time
from typing import Any

import orjson

from customhouse.contracts.chat import ChatCompletion, Json

_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}

THINKING_BLOCKS = frozenset({"thinking", "redacted_thinking"})


def completion(message: Json) -> ChatCompletion:
    """Raises KeyError, TypeError or ValueError for a message that is not in Anthropic's format."""
    blocks = message["content"]
    answer: Json = {"role": "assistant", "content": _joined(blocks, "text")}
    if thinking := [block for block in blocks if block["type"] in THINKING_BLOCKS]:
        answer["reasoning_content"] = _joined(blocks, "thinking") or ""
        answer["thinking_blocks"] = thinking
    if calls := [_tool_call(block) for block in blocks if block["type"] == "tool_use"]:
        answer["tool_calls"] = calls
    elif answer["content"] is None:
        answer["content"] = ""
    if refusal := refusal_of(message):
        answer["refusal"] = refusal
    choice = {"index": 0, "message": answer, "finish_reason": finish_reason(message["stop_reason"])}
    return ChatCompletion.model_validate(
        {
            "id": message["id"],
            "object": "chat.completion",
            "created": int(time.time()),
            "model": message["model"],
            "choices": [choice],
            "usage": usage(message["usage"]),
        }
    )


def finish_reason(stop_reason: str) -> str:
    """A reason that Anthropic adds one day ends the answer as a plain stop."""
    return _FINISH_REASONS.get(stop_reason, "stop")


def refusal_of(message: Json) -> str | None:
    """Why the model refused, if it did and if Anthropic says why."""
    details = message.get("stop_details") or {}
    return details.get("explanation") if details.get("type") == "refusal" else None


def usage(counts: Json) -> Json:
    """Anthropic's `input_tokens` leave out what the cache read and wrote; OpenAI's `prompt_tokens` are the sum."""
    cached = counts.get("cache_read_input_tokens") or 0
    written = counts.get("cache_creation_input_tokens") or 0
    prompt, answer = counts["input_tokens"] + cached + written, counts["output_tokens"]
    found: Json = {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
        "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
    }
    if thinking := (counts.get("output_tokens_details") or {}).get("thinking_tokens"):
        found["completion_tokens_details"] = {"reasoning_tokens": thinking}
    return found


def arguments_of(tool_input: Any) -> str:
    return orjson.dumps(tool_input).decode()


def _tool_call(block: Json) -> Json:
    function = {"name": block["name"], "arguments": arguments_of(block["input"])}
    return {"id": block["id"], "type": "function", "function": function}


def _joined(blocks: list[Json], kind: str) -> str | None:
    texts = [block[kind] for block in blocks if block["type"] == kind]
    return "".join(texts) if texts else None
