from __future__ import annotations

from typing import Any

import pytest

from customhouse.contracts.chat import ChatRequest
from customhouse.contracts.errors import UnprocessableField
from customhouse.governance.answer_schema import (
    MAX_REASONS,
    PARAM,
    check_answer,
    check_response_format,
    complaint_of,
    wants_json,
)
from tests.governance.answers import answer

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "pattern": "^[A-Z]"},
        "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "uniqueItems": True},
    },
    "required": ["name"],
    "additionalProperties": False,
    "$defs": {"tag": {"enum": ["a", "b"]}},
}


def asking(schema: Any) -> ChatRequest:
    return ChatRequest.model_validate(
        {
            "model": "m",
            "messages": [{"role": "user", "content": "hi"}],
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}},
        }
    )


def reasons(schema: Any, text: str, **beside: Any) -> list[tuple[str, str]]:
    return [(f.kind, f.explanation) for f in check_answer(asking(schema), answer({"content": text}, **beside))]


def test_an_answer_of_the_form_asked_for_has_no_findings() -> None:
    assert reasons(PERSON, '{"name": "Ann", "tags": ["a", "b"]}') == []


@pytest.mark.parametrize(
    ("text", "kind", "reason"),
    [
        ("Sure! {}", "not_json", "The answer is not JSON"),
        ("", "not_json", "The answer is not JSON"),
        ("{}", "mismatch", "At $, required properties are missing: name."),
        ('{"name": "ann"}', "mismatch", 'At $.name, the value must satisfy pattern: "^[A-Z]".'),
        ('{"name": 1}', "mismatch", 'At $.name, the value must satisfy type: "string".'),
        ('{"name": "A", "tags": ["c"]}', "mismatch", 'At $.tags[0], the value must satisfy enum: ["a","b"].'),
        ('{"name": "A", "tags": ["a", "a"]}', "mismatch", "At $.tags, the value does not satisfy"),
        ('{"name": "A", "secret": "hunter2"}', "mismatch", "At $, there are properties that the schema does not"),
    ],
)
def test_what_is_missed_is_named_by_path_and_reason_without_the_text(text: str, kind: str, reason: str) -> None:
    ((found_kind, found_reason),) = reasons(PERSON, text)
    assert found_kind == kind
    assert found_reason.startswith(reason)
    assert "hunter2" not in found_reason


def test_a_truncated_answer_is_a_finding_of_its_own() -> None:
    assert [kind for kind, _ in reasons(PERSON, '{"name": "A', finish_reason="length")] == ["truncated"]


def test_refusals_and_tool_calls_are_let_be() -> None:
    whole = answer({"content": None, "refusal": "No."}, {"content": None, "tool_calls": [{"id": "1"}]})
    assert check_answer(asking(PERSON), whole) == []


def test_each_choice_is_validated_and_named() -> None:
    findings = check_answer(asking(PERSON), answer({"content": '{"name": "A"}'}, {"content": "[]"}))
    assert [finding.explanation[:10] for finding in findings] == ["Choice 1: "]
    assert "Choice 1" in complaint_of(findings)


def test_the_number_of_reasons_is_bounded() -> None:
    assert len(reasons({"items": {"type": "string"}}, str(list(range(100))))) == MAX_REASONS


def test_json_object_wants_an_object() -> None:
    request = ChatRequest.model_validate(
        {"model": "m", "messages": [{"role": "user", "content": "x"}], "response_format": {"type": "json_object"}}
    )
    assert wants_json(request)
    assert check_answer(request, answer({"content": '{"a": 1}'})) == []
    assert [f.kind for f in check_answer(request, answer({"content": "[1]"}))] == ["not_object"]


def test_plain_requests_are_not_touched() -> None:
    request = ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "x"}]})
    check_response_format(request)
    assert not wants_json(request)
    assert check_answer(request, answer({"content": "plain"})) == []


def nested(levels: int) -> Any:
    schema: Any = {"type": "string"}
    for _ in range(levels):
        schema = {"properties": {"a": schema}}
    return schema


@pytest.mark.parametrize(
    ("schema", "param", "message"),
    [
        ({"type": "objekt"}, f"{PARAM}.type", "not a valid JSON Schema"),
        ({"properties": {"a": {"minLength": -1}}}, f"{PARAM}.properties.a.minLength", "not a valid JSON Schema"),
        ("string", PARAM, "must be a JSON object"),
        ({"$ref": "http://127.0.0.1:1/schema.json"}, PARAM, "nothing is fetched"),
        ({"$ref": "#/$defs/none"}, PARAM, "points to nothing"),
        ({"properties": {"a": {"$dynamicRef": "other.json#x"}}}, PARAM, "nothing is fetched"),
        ({"properties": {"a": {"pattern": "(?=x)y"}}}, PARAM, "cannot be used"),
        ({"patternProperties": {"(a)\\1": {}}}, PARAM, "cannot be used"),
        ({"$defs": {"a": {"$id": "http://x/"}}}, PARAM, "Only the whole schema may have an $id"),
        ({"allOf": [{"patternProperties": {"a": {}}}], "unevaluatedProperties": False}, PARAM, "not supported"),
        (nested(60), PARAM, "nested deeper"),
        ({"enum": ["x" * 300_000]}, PARAM, "bytes"),
    ],
)
def test_a_wrong_or_hostile_schema_is_refused_by_name(schema: Any, param: str, message: str) -> None:
    with pytest.raises(UnprocessableField, match=message.replace("$", r"\$")) as caught:
        check_response_format(asking(schema))
    assert caught.value.param == param


@pytest.mark.parametrize(
    "schema",
    [
        True,
        None,
        {"properties": {"pattern": {"type": "string"}, "$ref": {"type": "string"}}},
        {"enum": [{"$ref": "http://x"}], "const": {"pattern": "(?=x)"}},
        {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"a": {}}, "$ref": "#/definitions/a"},
        {"$id": "https://example.org/root", "$ref": "#/$defs/a", "$defs": {"a": {"$anchor": "x"}}},
        {"$ref": "#x", "$defs": {"a": {"$anchor": "x"}}},
    ],
)
def test_what_only_looks_hostile_is_taken(schema: Any) -> None:
    check_response_format(asking(schema))
    check_answer(asking(schema), answer({"content": '{"pattern": "x"}'}))


def test_catastrophic_patterns_cost_nothing() -> None:
    text = '{"' + "a" * 5000 + '!": "' + "a" * 5000 + '!"}'
    schema = {
        "patternProperties": {"^(a+)+$": {}},
        "additionalProperties": {"pattern": "^(a|aa)+$"},
    }
    assert [kind for kind, _ in reasons(schema, text)] == ["mismatch"]


def test_references_that_never_end_or_fan_out_are_given_up_on() -> None:
    assert [kind for kind, _ in reasons({"$ref": "#"}, "1")] == ["unverifiable"]
    fan = {"$defs": {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 3} for n in range(14)}, "$ref": "#/$defs/d0"}
    fan["$defs"]["d14"] = {"const": 0}  # type: ignore[index]
    assert [kind for kind, _ in reasons(fan, "1")] == ["unverifiable"]


def test_recursive_schemas_work() -> None:
    tree = {"type": "object", "properties": {"child": {"$ref": "#"}}, "additionalProperties": False}
    assert reasons(tree, '{"child": {"child": {}}}') == []
    assert [kind for kind, _ in reasons(tree, '{"child": {"other": 1}}')] == ["mismatch"]
