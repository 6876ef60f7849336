"""JSON Schema from callers, treated as hostile: nothing is fetched, patterns run on RE2, size and work are bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson
import re2
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend, validator_for
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012, specification_with

from customhouse.contracts.errors import UnprocessableField

MAX_BYTES = 256 * 1024
"""OpenAI's own limit on the strings of a schema is 120,000 characters."""

MAX_DEPTH = 64
"""Levels of JSON. OpenAI allows 10 levels of nesting, each of two or three levels of JSON."""

MAX_STEPS = 100_000
"""Keywords applied to one value, some 1 s of work: references that fan out would otherwise take for ever."""

_DEAR = frozenset({"$ref", "$dynamicRef", "anyOf", "oneOf", "allOf", "not", "if", "contains", "dependentSchemas"})
"""Keywords that look references up or try several schemas. They count ten steps: some 0.1 ms each."""

Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]


class TooMuchWork(Exception):
    """The schema takes more steps on this value than an answer is worth."""


class SafeSchema:
    """A schema that was checked, and its validator."""

    def __init__(self, schema: Any, param: str) -> None:
        """Raises UnprocessableField with `param` for a schema that is wrong or that asks too much."""
        self._param = param
        self._steps = 0
        if not isinstance(schema, (dict, bool)):
            raise self._wrong("The schema must be a JSON object.")
        if (size := len(orjson.dumps(schema))) > MAX_BYTES:
            raise self._wrong(f"The schema has {size} bytes, and {MAX_BYTES} are allowed. Shorten it.")
        if depth(schema) > MAX_DEPTH:
            raise self._wrong(f"The schema is nested deeper than {MAX_DEPTH} levels. Flatten it with $defs.")
        draft: Any = validator_for(schema, default=Draft202012Validator)
        try:
            draft.check_schema(schema, format_checker=None)
        except SchemaError as error:
            place = ".".join(str(step) for step in error.absolute_path)
            raise UnprocessableField(
                f"This is not a valid JSON Schema: {error.message[:300]}. Mend it.",
                param=f"{param}.{place}" if place else param,
            ) from None
        self._check_parts(schema, draft)
        keywords: dict[str, Keyword] = dict(draft.VALIDATORS) | _LINEAR
        counted = {name: self._counted(function, 10 if name in _DEAR else 1) for name, function in keywords.items()}
        make: Any = extend  # untyped in its stubs
        self._validator: Validator = make(draft, counted)(schema, registry=Registry())

    def errors(self, value: Any) -> Iterator[ValidationError]:
        """What is wrong with a value. Raises TooMuchWork, also where references never end."""
        self._steps = 0
        try:
            yield from self._validator.iter_errors(value)
        except RecursionError:
            raise TooMuchWork("the schema's references never end on this value") from None

    def _counted(self, function: Keyword, steps: int) -> Keyword:
        def apply(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[ValidationError] | None:
            self._steps += steps
            if self._steps > MAX_STEPS:
                raise TooMuchWork(f"the schema takes more than {MAX_STEPS} steps on this value")
            return function(validator, wanted, instance, schema)

        return apply

    def _check_parts(self, schema: Any, draft: Any) -> None:
        root = specification_with(draft.META_SCHEMA["$schema"], default=DRAFT202012).create_resource(schema)
        resolver = Registry().resolver_with_root(root)
        keywords: set[str] = set()
        waiting: list[Resource[Any]] = [root]
        while waiting:
            part = waiting.pop()
            waiting.extend(part.subresources())
            if not isinstance(part.contents, dict):
                continue
            if part is not root and "$id" in part.contents:
                raise self._wrong("Only the whole schema may have an $id. Remove it from its parts.")
            keywords.update(part.contents)
            for reference in (part.contents.get("$ref"), part.contents.get("$dynamicRef")):
                if isinstance(reference, str):
                    self._check_reference(reference, resolver)
            for pattern in (part.contents.get("pattern"), *(part.contents.get("patternProperties") or ())):
                if isinstance(pattern, str):
                    self._check_pattern(pattern)
        if {"patternProperties", "unevaluatedProperties"} <= keywords:
            # The library would match these patterns with a backtracking engine.
            raise self._wrong("patternProperties beside unevaluatedProperties is not supported. Leave one out.")

    def _check_reference(self, reference: str, resolver: Any) -> None:
        if not reference.startswith("#"):
            raise self._wrong(
                f"The reference {reference[:200]!r} points out of the schema, and nothing is fetched. "
                "Put what it names into $defs."
            )
        try:
            resolver.lookup(reference)
        except Unresolvable:
            raise self._wrong(f"The reference {reference[:200]!r} points to nothing. Mend it.") from None

    def _check_pattern(self, pattern: str) -> None:
        try:
            compiled(pattern)
        except re2.error as error:
            raise self._wrong(
                f"The pattern {pattern[:200]!r} cannot be used ({error}). Write it without look-around and "
                "back-references."
            ) from None

    def _wrong(self, message: str) -> UnprocessableField:
        return UnprocessableField(message, param=self._param)


def depth(value: Any) -> int:
    """Levels of nesting, without recursion."""
    deepest, waiting = 0, [(value, 1)]
    while waiting:
        item, level = waiting.pop()
        deepest = max(deepest, level)
        children = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        waiting.extend((child, level + 1) for child in children)
    return deepest


def compiled(pattern: str) -> Any:
    """The pattern for RE2, whose time is linear in the text whatever the pattern; re2 keeps the last 128."""
    options = re2.Options()
    options.log_errors = False
    return re2.compile(pattern, options)


def _matches(pattern: str, text: str) -> bool:
    return compiled(pattern).search(text.encode("utf-8", "replace").decode()) is not None


def _pattern(validator: Any, wanted: str, instance: Any, schema: Any) -> Iterator[ValidationError]:  # noqa: ARG001
    if validator.is_type(instance, "string") and not _matches(wanted, instance):
        yield ValidationError("the value does not match the pattern")


def _pattern_properties(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:  # noqa: ARG001
    if validator.is_type(instance, "object"):
        for pattern, part in wanted.items():
            for name, value in instance.items():
                if _matches(pattern, name):
                    yield from validator.descend(value, part, path=name, schema_path=pattern)


def _additional_properties(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not validator.is_type(instance, "object"):
        return
    patterns = schema.get("patternProperties", {})
    known = schema.get("properties", {})
    for name, value in instance.items():
        if name in known or any(_matches(pattern, name) for pattern in patterns):
            continue
        if wanted is False:
            yield ValidationError("there are properties that the schema does not allow")
            return
        yield from validator.descend(value, wanted, path=name)


def _unique_items(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:  # noqa: ARG001
    if not wanted or not validator.is_type(instance, "array"):
        return
    # The library compares every pair. By text it is linear; 1 and 1.0 then count as two.
    if len({orjson.dumps(item, option=orjson.OPT_SORT_KEYS) for item in instance}) < len(instance):
        yield ValidationError("the items are not unique")


_LINEAR: dict[str, Keyword] = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "uniqueItems": _unique_items,
}
"""Keywords whose own implementation backtracks, or takes quadratic time."""
