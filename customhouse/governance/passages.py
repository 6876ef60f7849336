"""The texts within a request and an answer, each with its path: what checks inspect and redaction rewrites."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from customhouse.contracts.chat import ChatCompletion, ChatRequest, Json
from customhouse.governance.checks.base import Passage

NOT_PROSE = frozenset(
    {"role", "name", "id", "type", "tool_call_id", "tool_calls", "function_call", "data", "signature"}
)
"""Fields that hold no text of their own, or that are walked by themselves. All others are inspected, also those that a
provider invents (`reasoning_content`, `reasoning_details`, …)."""

TOOL_TEXTS = (("function", "arguments"), ("custom", "input"))
"""Where a tool call holds what the model wrote."""


def request_passages(request: ChatRequest) -> list[Passage]:
    """Every text the caller sends in messages, whatever its role, tool call arguments included."""
    found: list[Passage] = []
    for index, message in enumerate(request.messages):
        prefix, role, content = f"messages.{index}", message.role, message.content
        if isinstance(content, str):
            found.append(Passage(f"{prefix}.content", content, role))
        elif content:
            for number, part in enumerate(content):
                fields = {"text": part.text, **(part.model_extra or {})}
                found.extend(_strings(fields, f"{prefix}.content.{number}", role))
        extra = message.model_extra or {}
        found.extend(_prose(extra, prefix, role))
        found.extend(_arguments(message.tool_calls, extra, prefix, role))
    return found


def answer_passages(answer: ChatCompletion) -> list[Passage]:
    """Every text the model wrote, choice by choice."""
    found: list[Passage] = []
    for index, choice in enumerate(answer.choices):
        prefix, message = f"choices.{index}.message", choice.message
        role = str(message.get("role") or "assistant")
        calls = message.get("tool_calls")
        found.extend(_prose(message, prefix, role))
        found.extend(_arguments(calls if isinstance(calls, list) else None, message, prefix, role))
    return found


def rewrite(document: Any, path: str, text: str) -> None:
    """Put `text` at `path` of plain JSON, in place. The path must be one that a passage of the document bears."""
    *parents, last = path.split(".")
    for step in parents:
        document = document[int(step)] if isinstance(document, list) else document[step]
    document[last] = text


def _strings(fields: Mapping[str, Any], prefix: str, role: str) -> Iterator[Passage]:
    for name, value in fields.items():
        if isinstance(value, str) and name not in NOT_PROSE and "." not in name:
            yield Passage(f"{prefix}.{name}", value, role)


def _prose(fields: Mapping[str, Any], prefix: str, role: str) -> Iterator[Passage]:
    """Texts of a message, and those one level down: content parts, reasoning details, an audio transcript."""
    yield from _strings(fields, prefix, role)
    for name, value in fields.items():
        if name in NOT_PROSE or "." in name:
            continue
        if isinstance(value, dict):
            yield from _strings(value, f"{prefix}.{name}", role)
        elif isinstance(value, list):
            for number, part in enumerate(value):
                if isinstance(part, dict):
                    yield from _strings(part, f"{prefix}.{name}.{number}", role)


def _arguments(calls: list[Json] | None, fields: Mapping[str, Any], prefix: str, role: str) -> Iterator[Passage]:
    """Arguments of tool calls: functions, custom tools, and the function calls that came before tools."""
    for number, call in enumerate(calls or ()):
        for kind, field in TOOL_TEXTS:
            body = call.get(kind) if isinstance(call, dict) else None
            if isinstance(body, dict) and isinstance(text := body.get(field), str):
                yield Passage(f"{prefix}.tool_calls.{number}.{kind}.{field}", text, role)
    legacy = fields.get("function_call")
    if isinstance(legacy, dict) and isinstance(text := legacy.get("arguments"), str):
        yield Passage(f"{prefix}.function_call.arguments", text, role)
