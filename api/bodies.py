"""Reading request bodies: bounded, strictly JSON, and with errors that name the field."""

from __future__ import annotations

from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, BeforeValidator, ValidationError
from pydantic_core import PydanticCustomError
from starlette.requests import Request

from api.problems import field_error
from customhouse.contracts.errors import InvalidRequest, PayloadTooLarge, UnprocessableField

MAX_DEPTH = 100
"""Levels of JSON. pydantic writes 255 and Python recurses 1000 deep; real tool schemas have a dozen."""

Model = TypeVar("Model", bound=BaseModel)


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """The body, or PayloadTooLarge as soon as it is known to be over the limit."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit_bytes:
        raise _too_large(limit_bytes)
    received = bytearray()
    async for part in request.stream():
        received += part
        if len(received) > limit_bytes:
            raise _too_large(limit_bytes)
    return bytes(received)


def _too_large(limit_bytes: int) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"The request body is over the limit of {limit_bytes / 1e6:g} MB. Send less, or have the operator raise "
        "CUSTOMHOUSE_MAX_BODY_MB.",
        param="body",
    )


def parse_json_object(body: bytes) -> dict[str, Any]:
    """Strict JSON: no NaN, no lone surrogates, no NUL characters (Postgres stores none)."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        hint = "The body is empty." if not body.strip() else f"The body is not valid JSON: {error}."
        raise InvalidRequest(f"{hint} Send one JSON object, encoded as UTF-8.", param="body") from error
    if not isinstance(data, dict):
        raise InvalidRequest(f"The body must be a JSON object, not {_kind(data)}.", param="body")
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and (field := _too_deep(data)):
        raise UnprocessableField(
            f"{field}: is nested deeper than {MAX_DEPTH} levels. Send flatter JSON, or the inner part as a string.",
            param=field,
        )
    if b"\\u0000" in body and (path := _nul_path(data, "")):
        raise UnprocessableField(
            f"{path}: holds the NUL character (\\u0000), which cannot be stored. Remove it.", param=path
        )
    return data


def validate(model: type[Model], data: dict[str, Any], prefix: str = "") -> Model:
    """Raises UnprocessableField naming the first wrong field."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise field_error(error, prefix) from error


def without_nul(text: str | None) -> str | None:
    """For fields of bodies that FastAPI reads. Raises ValueError, which pydantic turns into a complaint."""
    if text is not None and "\x00" in text:
        raise ValueError("holds the NUL character (\\u0000), which cannot be stored. Remove it")
    return text


def _number(value: object) -> object:
    if isinstance(value, bool | str):
        raise PydanticCustomError("number_type", "Input should be a number")
    return value


NUMBER = BeforeValidator(_number)
"""For fields that are numbers in JSON: Pydantic would take `true` for 1, and `"5"` for 5."""


def _kind(value: Any) -> str:
    return {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}.get(type(value), "a number")


def _too_deep(data: dict[str, Any]) -> str | None:
    """The top-level field that is nested too deeply, searched level by level: without recursion, as below."""
    for field, value in data.items():
        level = [value]
        for _ in range(MAX_DEPTH):
            level = [
                inner
                for current in level
                if isinstance(current, dict | list)
                for inner in (current.values() if isinstance(current, dict) else current)
            ]
        if level:
            return field
    return None


def _nul_path(value: Any, path: str) -> str | None:
    """Where the first NUL is, searched without recursion: nesting is the caller's, our stack is not."""
    pending = [(path, value)]
    while pending:
        where, current = pending.pop()
        if isinstance(current, str):
            if "\x00" in current:
                return where or "body"
        elif isinstance(current, dict):
            for key, inner in current.items():
                if "\x00" in key:
                    return where or "body"
                pending.append((f"{where}.{key}" if where else key, inner))
        elif isinstance(current, list):
            pending.extend((f"{where}.{i}" if where else str(i), inner) for i, inner in enumerate(current))
    return None
