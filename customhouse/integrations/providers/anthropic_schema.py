"""JSON schemas as Anthropic's structured outputs take them.

They support a part of JSON Schema and refuse the rest with a 400
(https://platform.claude.com/docs/en/build-with-claude/structured-outputs#json-schema-limitations). As the official
SDK does, what they do not support is told to the model in words instead; the answer is checked against the caller's
own schema afterwards in any case.
"""

from __future__ import annotations

from typing import Any

from customhouse.contracts.chat import Json

_KEPT = frozenset({"$ref", "type", "enum", "const", "title", "required", "default"})
_COMBINATORS = ("anyOf", "oneOf", "allOf")
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"})


def supported_schema(schema: Any) -> Any:
    """The schema without what Anthropic does not support. Objects are closed, since open ones are refused."""
    if not isinstance(schema, dict):
        return schema
    if isinstance(schema.get("type"), list):
        return supported_schema(_as_any_of(schema))
    kept: Json = {}
    in_words: Json = {}
    for key, value in schema.items():
        if key in _KEPT:
            kept[key] = value
        elif key in _COMBINATORS and isinstance(value, list):
            kept["anyOf" if key == "oneOf" else key] = [supported_schema(item) for item in value]
        elif key in ("properties", "$defs", "definitions") and isinstance(value, dict):
            kept[key] = {name: supported_schema(item) for name, item in value.items()}
        elif key == "items" and isinstance(value, dict):
            kept[key] = supported_schema(value)
        elif (key == "format" and value in _FORMATS) or (key == "minItems" and value in (0, 1)):
            kept[key] = value
        elif key not in ("$schema", "$id", "additionalProperties", "description"):
            in_words[key] = value
    if schema.get("type") == "object":
        kept.setdefault("properties", {})
        kept["additionalProperties"] = False
    description = schema.get("description") or ""
    if in_words:
        words = "{" + ", ".join(f"{key}: {value}" for key, value in in_words.items()) + "}"
        description = f"{description}\n\n{words}" if description else words
    if description:
        kept["description"] = description
    return kept


def _as_any_of(schema: Json) -> Json:
    """A list of types as alternatives, each with the keywords that go with its type."""
    own = {"object": ("properties", "required"), "array": ("items", "minItems"), "string": ("format",)}
    shared = {k: v for k, v in schema.items() if k in ("title", "description", "$defs", "definitions")}
    typed = {k: v for k, v in schema.items() if k not in shared and k != "type"}
    if "enum" in typed or "const" in typed:  # the values already say which types they have
        return shared | typed
    foreign = {t: {k for o, keys in own.items() if o != t for k in keys} for t in schema["type"]}
    variants = [{"type": t, **{k: v for k, v in typed.items() if k not in foreign[t]}} for t in schema["type"]]
    return shared | {"anyOf": variants}
