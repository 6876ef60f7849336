"""What a model wrote in a streamed chunk, in whatever field: counted is what `StreamChoice` lets out."""

from __future__ import annotations

from collections.abc import Iterator

from customhouse.contracts.chat import Json
from customhouse.governance.passages import NOT_PROSE, TOOL_TEXTS


def delta_texts(chunk: Json) -> Iterator[str]:
    """Texts, arguments of tool calls and inputs of custom tools; none that is empty."""
    for choice in chunk.get("choices") or ():
        delta = choice.get("delta") or {}
        for name, value in delta.items():
            if isinstance(value, str) and value and name not in NOT_PROSE:
                yield value
        calls = [*(delta.get("tool_calls") or ()), {"function": delta.get("function_call")}]
        for call in calls:
            for name, field in TOOL_TEXTS:
                body = call.get(name) if isinstance(call, dict) else None
                if isinstance(body, dict) and isinstance(text := body.get(field), str) and text:
                    yield text
