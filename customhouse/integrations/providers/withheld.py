"""Takes keys and prompt text out of what a provider says, before it becomes part of an error message.

Providers echo what they were sent: a validation error quotes the field, a 401 quotes the key. Error messages reach
logs, rows and the workflow's history, where neither belongs. This runs on failures only, so it may cost a little.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from customhouse.contracts.chat import ChatRequest

_KEY_LIKE = re.compile(r"\b(?:sk|pk|rk|key|xai|gsk|AIza)[-_*][\w*.\-]{6,}|\bBearer\s+\S+", re.IGNORECASE)

_WINDOW = 20
_STRIDE = 5
"""Every run of prompt text of at least `_WINDOW + _STRIDE - 1` = 24 characters is found; shorter runs are ordinary
phrases that a prompt and an error message may share by chance."""

_SHORTEST_WHOLE_TEXT = 8
"""A text of the prompt that is quoted as a whole is found from this length on."""


def withhold(text: str, *, secret: str | None, request: ChatRequest) -> str:
    """`text` without the key and without runs of the prompt."""
    if secret:
        text = text.replace(secret, "[key]")
    text = _KEY_LIKE.sub("[key]", text)
    for part in _texts(request):
        if len(part) >= _SHORTEST_WHOLE_TEXT:
            text = _without_runs(text.replace(part, "[prompt]"), part)
    return text


def _without_runs(text: str, prompt: str) -> str:
    position = 0
    while position + _WINDOW <= len(text):
        found = prompt.find(text[position : position + _WINDOW])
        if found < 0:
            position += _STRIDE
            continue
        start, end, shift = position, position + _WINDOW, found - position
        while start > 0 and start + shift > 0 and text[start - 1] == prompt[start - 1 + shift]:
            start -= 1
        while end < len(text) and end + shift < len(prompt) and text[end] == prompt[end + shift]:
            end += 1
        text = f"{text[:start]}[prompt]{text[end:]}"
        position = start + len("[prompt]")
    return text


def _texts(request: ChatRequest) -> Iterator[str]:
    for message in request.messages:
        yield from _strings(message.model_dump(include={"content"}))
        yield from _strings([call.get("function") for call in message.tool_calls or []])


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
