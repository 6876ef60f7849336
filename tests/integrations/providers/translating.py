"""Translates requests for the tests and holds each against the official SDK's types."""

from __future__ import annotations

from typing import Any

import pytest
from anthropic.types.message_create_params import MessageCreateParams, MessageCreateParamsBase
from pydantic import TypeAdapter

from customhouse.contracts.catalog import Deployment
from customhouse.contracts.chat import ChatRequest, Json
from customhouse.contracts.errors import FailureKind, ProviderError
from customhouse.integrations.providers.anthropic_request import messages_request

_SDK: TypeAdapter[Any] = TypeAdapter(MessageCreateParams)
OLDER = {"temperature", "top_p", "top_k"}
"""Taken by older models; the SDK's types have dropped them."""

WEATHER: Json = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def translate(*, model: str = "claude-sonnet-5", stream: bool = False, limit: int | None = None, **fields: Any) -> Json:
    asked = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **fields}
    deployment = Deployment(model="m", provider="claude", upstream_model=model, max_output_tokens=limit)
    body = messages_request(ChatRequest.model_validate(asked), deployment, stream=stream)
    _exhaust(_SDK.validate_python(body))
    assert body.keys() <= MessageCreateParamsBase.__annotations__.keys() | {"stream"} | OLDER
    return body


def _exhaust(value: Any) -> None:
    """pydantic checks the SDK's iterables only as they are read."""
    if isinstance(value, dict):
        for item in value.values():
            _exhaust(item)
    elif hasattr(value, "__iter__") and not isinstance(value, (str, bytes)):
        for item in value:
            _exhaust(item)


def refused(**fields: Any) -> str | None:
    with pytest.raises(ProviderError) as caught:
        translate(**fields)
    assert caught.value.kind is FailureKind.TERMINAL
    assert caught.value.param is not None
    assert caught.value.param in caught.value.message
    return caught.value.param
