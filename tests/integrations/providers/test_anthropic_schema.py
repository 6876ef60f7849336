from __future__ import annotations

import pytest
from anthropic import transform_schema

from customhouse.contracts.chat import Json
from customhouse.integrations.providers.anthropic_schema import supported_schema

SCHEMAS: list[Json] = [
    {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1, "maximum": 9}}, "required": ["a"]},
    {"type": "object", "properties": {"a": {"type": "string", "format": "email", "description": "Mail"}}},
    {"type": "object", "properties": {}, "additionalProperties": True},
    {"type": "array", "items": {"type": "string", "maxLength": 5, "description": "Word"}, "minItems": 3},
    {"type": "array", "items": {"type": "string"}, "minItems": 1},
    {"anyOf": [{"type": "string"}, {"type": "null"}]},
    {"oneOf": [{"type": "object", "properties": {"k": {"const": 1}}}, {"type": "null"}]},
    {"allOf": [{"type": "string"}, {"type": "string", "format": "date"}]},
    {"type": "object", "properties": {"n": {"$ref": "#/$defs/Node"}}, "$defs": {"Node": {"type": "object"}}},
    {"enum": ["a", "b"], "title": "Letter"},
]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_agrees_with_the_official_sdk(schema: Json) -> None:
    assert supported_schema(schema) == transform_schema(schema)


def test_a_list_of_types_becomes_alternatives() -> None:
    schema = {"type": ["string", "null"], "description": "Name", "format": "email"}
    assert supported_schema(schema) == {
        "description": "Name",
        "anyOf": [{"type": "string", "format": "email"}, {"type": "null"}],
    }
    assert supported_schema({"type": ["string", "null"], "enum": ["a", None]}) == {"enum": ["a", None]}


def test_the_callers_schema_is_not_changed() -> None:
    schema = {"type": "object", "properties": {"a": {"type": ["object", "null"], "properties": {}}}}
    before = repr(schema)
    supported_schema(schema)
    assert repr(schema) == before
