from __future__ import annotations

from typing import Any

import pytest

from customhouse.contracts.catalog import Provider
from customhouse.contracts.chat import ChatRequest, Message
from customhouse.integrations.genai_attributes import provider_name, request_attributes, server_attributes


def _provider(url: str, kind: str = "openai") -> Provider:
    return Provider.model_validate({"name": "mine", "kind": kind, "base_url": url})


@pytest.mark.parametrize(
    ("url", "kind", "name"),
    [
        ("https://api.openai.com/v1", "openai", "openai"),
        ("https://company.openai.azure.com/openai", "openai", "azure.ai.openai"),
        ("https://bedrock-runtime.eu-west-1.amazonaws.com", "openai", "aws.bedrock"),
        ("https://api.x.ai/v1", "openai", "x_ai"),
        ("http://127.0.0.1:9100", "anthropic", "anthropic"),
        ("http://127.0.0.1:9100/v1", "openai", "mine"),
        ("http://[::1]:9100/v1", "openai", "mine"),
        ("https://notapi.openai.com.example.org/v1", "openai", "mine"),
    ],
)
def test_well_known_providers_by_their_host(url: str, kind: str, name: str) -> None:
    assert provider_name(_provider(url, kind)) == name


def test_the_schemes_port_is_the_default() -> None:
    assert server_attributes(_provider("https://api.openai.com/v1")) == {
        "server.address": "api.openai.com",
        "server.port": 443,
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {}),
        ({"n": 1}, {}),
        ({"max_completion_tokens": 5, "max_tokens": 9}, {"gen_ai.request.max_tokens": 5}),
        ({"temperature": 0}, {"gen_ai.request.temperature": 0}),
        ({"response_format": {"type": "json_schema"}}, {"gen_ai.output.type": "json"}),
        ({"response_format": {"type": ["odd"]}, "stop": "secret"}, {}),
    ],
)
def test_request_parameters_stand_only_where_they_were_set(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    request = ChatRequest(model="m", messages=[Message(role="user", content="secret")], **fields)
    assert request_attributes(request, stream=False) == expected
