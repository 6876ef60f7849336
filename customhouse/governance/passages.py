"""The texts within a request and an answer, each with its path: what checks inspect and redaction rewrites."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from itertools import islice
from typing import Any

from customhouse.contracts.chat import ChatCompletion, ChatRequest, Message, Sparse
from customhouse.contracts.errors import PayloadTooLarge
from customhouse.governance.checks.base import Passage

NOT_PROSE = frozenset(
    {"role", "name", "id", "type", "tool_call_id", "tool_calls", "function_call", "data", "signature"}
)
"""Fields of a streamed delta that hold no text of their own, or that are read by themselves."""

TOOL_TEXTS = (("function", "arguments"), ("custom", "input"))
"""Where a tool call holds what the model wrote."""

MAX_TEXTS = 50_000
"""Texts in one request. A body of 20 MB can hold millions, at some 5 µs each to look at."""

_MESSAGE_STRUCTURE = frozenset({"role", "id", "type", "tool_call_id"})
"""Strings of messages that bind parts to each other: a placeholder in one would break the conversation."""

_ANSWER_STRUCTURE = _MESSAGE_STRUCTURE | {"name"}
"""In an answer also the name of the function that is called: one of the request's own."""

_NONE: frozenset[str] = frozenset()

_JSON_TYPES = frozenset({"array", "boolean", "function", "integer", "null", "number", "object", "string", "text"})
"""Every other string of a tool's schema is one of these."""

_TOOL_ROLES = frozenset({"tool", "function"})

_DOCUMENTS = frozenset({"document", "file", "search_result", "tool_result", "web_search_tool_result"})
"""Types of content parts that bring in what somebody else wrote."""

_READ_APART = frozenset({"model", "messages"})
"""The model is what the route is chosen by, and messages are read by themselves."""

_MEDIA = frozenset({"url", "image_url", "data", "file_data", "signature", "encrypted_content"})
"""Fields that may hold an image, a sound, a file or a provider's seal in Base64."""

_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\r\n"

_MIN_MEDIA_CHARS = 256
"""Less than this is no picture, and may be a key: it is inspected like any text."""

_MAX_PLAIN_NAME_CHARS = 14
_MAX_LETTERS_NAME_CHARS = 30
"""Names of fields are inspected, too, but not plain ones: no credential, card number or IBAN is shorter than 15
characters, and of those without a digit or a dash AWS's are in capitals, and the next, Stripe's, have 32."""


def request_passages(request: ChatRequest) -> list[Passage]:
    """Every text of the request's wire form. Raises PayloadTooLarge where there are more than MAX_TEXTS."""
    found = list(islice(request_texts(request), MAX_TEXTS + 1))
    if len(found) > MAX_TEXTS:
        raise PayloadTooLarge(
            f"The request holds more than {MAX_TEXTS} texts: messages, their parts, strings in tools and other "
            "fields. Send fewer of them, or join them.",
            param="messages",
        )
    return found


def request_texts(request: ChatRequest) -> Iterator[Passage]:
    """As `request_passages`, one by one and without a limit."""
    yield from message_texts(request)
    for name, value in request.__dict__.items():
        if isinstance(value, (str, list, dict, Sparse)) and name not in _READ_APART:
            yield from _texts(name, _plain(value), "user")
    if request.model_extra:
        yield from _texts("", request.model_extra, "user")


def message_texts(request: ChatRequest) -> Iterator[Passage]:
    """The texts of the messages, whatever their role, tool call arguments included."""
    for index, message in enumerate(request.messages):
        is_untrusted = message.role in _TOOL_ROLES
        if isinstance(message.content, str):
            yield Passage(f"messages.{index}.content", message.content, message.role, is_untrusted=is_untrusted)
        if not isinstance(message.content, str) or message.tool_calls or message.name or message.model_extra:
            yield from _texts(
                f"messages.{index}", _beside_text(message), message.role, _MESSAGE_STRUCTURE, is_untrusted=is_untrusted
            )


def answer_passages(answer: ChatCompletion) -> list[Passage]:
    """Every text the model wrote, choice by choice."""
    found: list[Passage] = []
    for index, choice in enumerate(answer.choices):
        role = str(choice.message.get("role") or "assistant")
        found.extend(_texts(f"choices.{index}.message", choice.message, role, _ANSWER_STRUCTURE))
    return found


def rewrite(document: Any, path: str, text: str) -> None:
    """Put `text` at `path` of plain JSON, in place. The path must be one that a passage of the document bears."""
    *parents, last = path.split(".")
    for step in parents:
        document = document[_key(document, step)]
    document[_key(document, last)] = text


def _beside_text(message: Message) -> dict[str, Any]:
    """A message's fields but for a text that has been read."""
    parts = [_plain(part) for part in message.content] if isinstance(message.content, list) else None
    return {
        "content": parts,
        "name": message.name,
        "tool_calls": message.tool_calls,
        **(message.model_extra or {}),
    }


def _plain(value: Any) -> Any:
    return {**value.__dict__, **(value.model_extra or {})} if isinstance(value, Sparse) else value


def _texts(
    path: str, value: Any, role: str, structure: frozenset[str] = _NONE, *, is_untrusted: bool = False
) -> Iterator[Passage]:
    """The strings in plain JSON, in order. A stack instead of recursion: callers choose how deep they nest."""
    if isinstance(value, str):
        yield Passage(path, value, role, is_untrusted=is_untrusted)
        return
    stack = [_children(path, value, role, structure, is_untrusted)]
    while stack:
        for each in stack[-1]:
            if isinstance(each, Passage):
                yield each
            else:
                below, child, is_foreign = each
                stack.append(_children(below, child, role, structure, is_foreign))
                break
        else:
            stack.pop()


def _children(
    path: str, value: Mapping[str, Any] | list[Any], role: str, structure: frozenset[str], is_untrusted: bool
) -> Iterator[Passage | tuple[str, Any, bool]]:
    """The texts right within a value, and its objects and lists, each with its path and whether it is untrusted."""
    prefix = f"{path}." if path else ""
    if isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, str):
                yield Passage(f"{prefix}{index}", item, role, is_untrusted=is_untrusted)
            elif isinstance(item, (dict, list)):
                yield f"{prefix}{index}", item, is_untrusted
        return
    is_untrusted = is_untrusted or _is_document(value)
    for name, item in value.items():
        step = name
        if not _is_plain(name):
            yield Passage(path, name, role, is_untrusted=is_untrusted, is_name=True)
            step = _hashed(name)
        if isinstance(item, str):
            if not (name in structure or (name == "type" and item in _JSON_TYPES) or _is_media(name, item)):
                yield Passage(f"{prefix}{step}", item, role, is_untrusted=is_untrusted)
        elif isinstance(item, (dict, list)):
            yield f"{prefix}{step}", item, is_untrusted


def _is_document(value: Mapping[str, Any]) -> bool:
    kind = value.get("type")
    return isinstance(kind, str) and kind in _DOCUMENTS


def _is_plain(name: str) -> bool:
    if len(name) <= _MAX_PLAIN_NAME_CHARS:
        return name.isidentifier()
    return len(name) <= _MAX_LETTERS_NAME_CHARS and name.replace("_", "").isalpha() and not name.isupper()


def _hashed(name: str) -> str:
    """Stands in a path for a name that is not plain: it may hold dots, or what must not be shown."""
    return f"~{blake2b(name.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"


def _key(document: Mapping[str, Any] | list[Any], step: str) -> Any:
    """The index or name that a step of a path stands for."""
    if isinstance(document, list):
        return int(step)
    if step.startswith("~"):
        return next(name for name in document if not _is_plain(name) and _hashed(name) == step)
    return step


def _is_media(name: str, text: str) -> bool:
    """True for Base64, with or without the head of a data URL: nothing else, so no space and no `ghp_` or `sk-`."""
    if len(text) < _MIN_MEDIA_CHARS or name not in _MEDIA or not text.isascii():
        return False
    head = text.find(";base64,", 0, _MIN_MEDIA_CHARS) if text.startswith("data:") else -1
    body = text[head + len(";base64,") :] if head >= 0 else text
    return not body.encode("ascii").translate(None, _BASE64)
