"""The conversation in Anthropic's shape: a system prompt, and turns of the user and the assistant made of blocks."""

from __future__ import annotations

import re
from collections.abc import Sequence

import orjson

from customhouse.contracts.chat import ContentPart, Json, Message
from customhouse.integrations.providers.anthropic_unsupported import unsupported

_DATA_URL = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)(?:;[^,;]*)*;base64,(?P<data>.*)", re.DOTALL)
_NOT_IN_AN_ID = re.compile(r"[^a-zA-Z0-9_-]")


def system_and_turns(messages: Sequence[Message]) -> tuple[list[Json], list[Json]]:
    """Blocks of the system prompt, and the turns.

    System and developer messages amid the conversation move to its start, as Anthropic's own OpenAI-compatible endpoint
    does. Neighbouring messages of one side become one turn, because the results of parallel tool calls must stand
    together. Raises ProviderError (terminal) for content that Anthropic cannot take.
    """
    system: list[Json] = []
    turns: list[Json] = []
    for index, message in enumerate(messages):
        path = f"messages.{index}"
        match message.role:
            case "system" | "developer":
                system += _blocks(message, path)
                continue
            case "user":
                role, blocks = "user", _blocks(message, path)
            case "tool":
                role, blocks = "user", [_tool_result(message, path)]
            case "assistant":
                role, blocks = "assistant", _assistant_blocks(message, path)
            case _:
                raise unsupported(f"{path}.role", f"{message.role} is deprecated; use tool")
        if cache := (message.model_extra or {}).get("cache_control"):
            blocks[-1:] = [{**block, "cache_control": cache} for block in blocks[-1:]]
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:  # empty texts are refused by Anthropic, so a message may come to nothing
            turns.append({"role": role, "content": blocks})
    if not turns:
        raise unsupported("messages", "it needs at least one message that is not empty and not a system prompt")
    _strip_last(turns[-1])
    return system, turns


def _strip_last(turn: Json) -> None:
    """Anthropic refuses white space at the end of an answer that it is to continue."""
    last = turn["content"][-1]
    if turn["role"] == "assistant" and last["type"] == "text":
        last["text"] = last["text"].rstrip()


def _blocks(message: Message, path: str) -> list[Json]:
    if isinstance(message.content, str):
        return [{"type": "text", "text": message.content}] if message.content else []
    parts = enumerate(message.content or [])
    return [block for index, part in parts if (block := _block(part, f"{path}.content.{index}")) is not None]


def _block(part: ContentPart, path: str) -> Json | None:
    more = part.model_extra or {}
    block: Json | None
    match part.type:
        case "text":
            block = {"type": "text", "text": part.text} if part.text else None
        case "refusal":
            block = {"type": "text", "text": more["refusal"]} if more.get("refusal") else None
        case "image_url":
            image = more.get("image_url")
            url = image.get("url") if isinstance(image, dict) else image
            block = {"type": "image", "source": _source(url, "image/", f"{path}.image_url")}
        case "file":
            file = more.get("file")
            data = file.get("file_data") if isinstance(file, dict) else None
            block = {"type": "document", "source": _source(data, "application/pdf", f"{path}.file.file_data")}
        case other:
            raise unsupported(path, f"it takes text, image_url and file parts, not {other}")
    if block is not None and more.get("cache_control"):
        block["cache_control"] = more["cache_control"]
    return block


def _source(url: object, media_type: str, path: str) -> Json:
    if isinstance(url, str):
        if url.startswith(("https://", "http://")):
            return {"type": "url", "url": url}
        if (found := _DATA_URL.fullmatch(url)) and found["type"].startswith(media_type):
            return {"type": "base64", "media_type": found["type"], "data": found["data"]}
    raise unsupported(path, f"give it an http URL, or a data URL of type {media_type.rstrip('/')} in base64")


def _assistant_blocks(message: Message, path: str) -> list[Json]:
    more = message.model_extra or {}
    if more.get("function_call"):
        raise unsupported(f"{path}.function_call", "it is deprecated; use tool_calls")
    thinking = more.get("thinking_blocks") or []
    if not isinstance(thinking, list):
        raise unsupported(f"{path}.thinking_blocks", "it must be the list that came with the answer")
    calls = [_tool_use(call, f"{path}.tool_calls.{index}") for index, call in enumerate(message.tool_calls or [])]
    return [*thinking, *_blocks(message, path), *calls]


def _tool_use(call: Json, path: str) -> Json:
    function = call.get("function")
    if not isinstance(function, dict) or not function.get("name"):
        raise unsupported(path, "only calls of functions, with a name, can be given to it")
    try:
        arguments = orjson.loads(function.get("arguments") or "{}")
    except orjson.JSONDecodeError:
        arguments = None
    if not isinstance(arguments, dict):
        raise unsupported(f"{path}.function.arguments", "they must be a JSON object")
    return {"type": "tool_use", "id": _tool_id(call.get("id"), path), "name": function["name"], "input": arguments}


def _tool_result(message: Message, path: str) -> Json:
    result: Json = {"type": "tool_result", "tool_use_id": _tool_id(message.tool_call_id, path)}
    if content := _blocks(message, path):
        result["content"] = content
    return result


def _tool_id(value: object, path: str) -> str:
    """Other models' ids may hold characters that Anthropic refuses; call and result are changed alike."""
    if not isinstance(value, str) or not value:
        raise unsupported(path, "a tool call and its result must have the call's id")
    return _NOT_IN_AN_ID.sub("_", value)
