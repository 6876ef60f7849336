"""The way back from a redaction: an answer's placeholders are replaced by what the caller's own request had there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from customhouse.contracts.chat import ChatCompletion, ChatRequest, Json
from customhouse.contracts.governance import Finding
from customhouse.governance.passages import answer_passages, rewrite
from customhouse.governance.redaction import Placeholders, is_json_text, redact_request

Originals = Mapping[str, str]
"""Placeholder → what stood there. Held in memory, and in the encrypted record of the invocation; nowhere else."""

_PLACEHOLDER = re.compile(r"<[A-Z][A-Z0-9_]*_\d+>")


def originals_of(request: ChatRequest, redacted: list[Finding]) -> dict[str, str]:
    """What the placeholders of a redacted request stand for: the same numbers as `redact_request` gives."""
    placeholders = Placeholders()
    redact_request(request, redacted, placeholders)
    return placeholders.originals()


def restore_answer(answer: ChatCompletion, originals: Originals) -> ChatCompletion:
    """The answer itself where it holds none of the placeholders."""
    found = [passage for passage in answer_passages(answer) if not passage.is_name and "<" in passage.text]
    if not originals or not found:
        return answer
    document = answer.model_dump(mode="json")
    for passage in found:
        rewrite(document, passage.path, _restored(passage.text, originals, is_json=is_json_text(passage.path)))
    return ChatCompletion.model_validate(document)


def restore_chunk(chunk: Json, originals: Originals) -> Json:
    """A governed chunk of a stream. A placeholder lies whole within one: text is released up to a space only."""
    if not originals:
        return chunk
    choices = [
        {**choice, "delta": _restored_delta(choice["delta"], originals)} if choice.get("delta") else choice
        for choice in chunk.get("choices") or ()
    ]
    return {**chunk, "choices": choices}


def _restored_delta(value: Any, originals: Originals, name: str = "") -> Any:
    if isinstance(value, str):
        return _restored(value, originals, is_json=name == "arguments") if "<" in value else value
    if isinstance(value, dict):
        return {key: _restored_delta(item, originals, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_restored_delta(item, originals, name) for item in value]
    return value


def _restored(text: str, originals: Originals, *, is_json: bool) -> str:
    def original(match: re.Match[str]) -> str:
        value = originals.get(match.group())
        if value is None:
            return match.group()
        return orjson.dumps(value).decode()[1:-1] if is_json else value

    return _PLACEHOLDER.sub(original, text)
