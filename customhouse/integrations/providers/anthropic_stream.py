"""Events of a Messages API stream as chat completion chunks.

Events: https://platform.claude.com/docs/en/build-with-claude/streaming. Unknown ones are left out, as that page asks.
"""

from __future__ import annotations

import time

from customhouse.contracts.chat import Json
from customhouse.integrations.providers.anthropic_answer import (
    THINKING_BLOCKS,
    arguments_of,
    finish_reason,
    refusal_of,
    usage,
)


class ChunkTranslator:
    """Translates one stream, event by event."""

    def __init__(self) -> None:
        self._head: Json = {}
        self._usage: Json = {}
        self._blocks: dict[int, Json] = {}
        self._calls = 0

    def translate(self, event: Json) -> list[Json]:
        """The chunks that the event amounts to. Raises KeyError or TypeError for one of another shape than promised."""
        match event["type"]:
            case "message_start":
                return self._start(event["message"])
            case "content_block_start":
                return self._start_block(event["index"], event["content_block"])
            case "content_block_delta":
                return self._continue_block(self._blocks[event["index"]], event["delta"])
            case "content_block_stop":
                return self._stop_block(self._blocks.pop(event["index"]))
            case "message_delta":
                return self._end(event)
            case "message_stop":
                return [self._chunk([], usage=usage(self._usage))]
            case _:  # ping, and what is yet to come
                return []

    def _start(self, message: Json) -> list[Json]:
        self._head = {
            "id": message["id"],
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": message["model"],
        }
        self._usage = dict(message["usage"])
        return [self._delta({"role": "assistant", "content": ""})]

    def _start_block(self, index: int, block: Json) -> list[Json]:
        self._blocks[index] = block = dict(block)
        match block["type"]:
            case "text" if block["text"]:
                return [self._delta({"content": block["text"]})]
            case "thinking" if block["thinking"]:
                return [self._delta({"reasoning_content": block["thinking"]})]
            case "tool_use":
                block["call"], block["streamed"] = self._calls, False
                self._calls += 1
                function = {"name": block["name"], "arguments": ""}
                call = {"index": block["call"], "id": block["id"], "type": "function", "function": function}
                return [self._delta({"tool_calls": [call]})]
        return []

    def _continue_block(self, block: Json, delta: Json) -> list[Json]:
        match delta["type"]:
            case "text_delta":
                return [self._delta({"content": delta["text"]})]
            case "thinking_delta":
                block["thinking"] += delta["thinking"]
                return [self._delta({"reasoning_content": delta["thinking"]})]
            case "signature_delta":
                block["signature"] = delta["signature"]
            case "input_json_delta" if delta["partial_json"] and block["type"] == "tool_use":
                block["streamed"] = True
                return [self._arguments(block, delta["partial_json"])]
        return []

    def _stop_block(self, block: Json) -> list[Json]:
        if block["type"] in THINKING_BLOCKS:
            return [self._delta({"thinking_blocks": [block]})]
        if block["type"] == "tool_use" and not block["streamed"]:
            # A call without arguments streams none, but clients parse the arguments as JSON.
            return [self._arguments(block, arguments_of(block["input"]))]
        return []

    def _end(self, event: Json) -> list[Json]:
        # Counts are cumulative, and those that did not change may be left out or null.
        self._usage |= {key: count for key, count in (event.get("usage") or {}).items() if count is not None}
        delta = event["delta"]
        if delta.get("stop_reason") is None:
            return []
        refusal = refusal_of(delta)
        return [self._delta({"refusal": refusal} if refusal else {}, finish_reason(delta["stop_reason"]))]

    def _arguments(self, block: Json, text: str) -> Json:
        return self._delta({"tool_calls": [{"index": block["call"], "function": {"arguments": text}}]})

    def _delta(self, delta: Json, finish: str | None = None) -> Json:
        return self._chunk([{"index": 0, "delta": delta, "finish_reason": finish}])

    def _chunk(self, choices: list[Json], **more: Json) -> Json:
        if not self._head:
            raise KeyError("message_start")  # an event came before it
        return {**self._head, "choices": choices, **more}
