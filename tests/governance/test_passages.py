from __future__ import annotations

import base64
from typing import Any

import pytest

from customhouse.contracts.chat import ChatRequest
from customhouse.contracts.errors import PayloadTooLarge
from customhouse.contracts.governance import Direction, Verdict
from customhouse.governance.checks.registry import builtin_checks
from customhouse.governance.passages import MAX_TEXTS, answer_passages, request_passages, rewrite
from customhouse.governance.policy import DEFAULT_POLICY
from customhouse.governance.redaction import redact_request
from customhouse.governance.verdict import decide
from tests.governance.answers import answer
from tests.governance.samples import PII, SECRETS

SUITE = builtin_checks(DEFAULT_POLICY)
TOKEN = SECRETS["github_token"]
EMAIL = PII["email"]
HELLO: dict[str, Any] = {"role": "user", "content": "hello"}


def asking(**fields: Any) -> ChatRequest:
    return ChatRequest.model_validate({"model": "m", "messages": [HELLO], **fields})


def part(**fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "x", **fields}]}]}


def called(function: dict[str, Any]) -> dict[str, Any]:
    call = {"id": "1", "type": "function", "function": function}
    return {"messages": [{"role": "assistant", "content": None, "tool_calls": [call]}]}


def nested(text: str, depth: int = 200) -> Any:
    """About as deep as pydantic writes."""
    value: Any = text
    for _ in range(depth):
        value = [value]
    return value


def places(text: str) -> dict[str, dict[str, Any]]:
    """Wherever a request can bear a text: requests that hold it in one place each."""
    return {
        "tool": {"tools": [{"type": "function", "function": {"name": "f", "description": text}}]},
        "tool name": {"tools": [{"type": "function", "function": {"name": text}}]},
        "schema": {
            "tools": [
                {"function": {"name": "f", "parameters": {"properties": {"id": {"type": "string", "enum": [text]}}}}}
            ]
        },
        "tool choice": {"tool_choice": {"type": "function", "function": {"name": text}}},
        "prediction": {"prediction": {"type": "content", "content": text}},
        "prediction parts": {"prediction": {"type": "content", "content": [{"type": "text", "text": text}]}},
        "deep part": part(one={"two": {"three": text}}),
        "part's list": part(one=[{"two": [text]}]),
        "data that is none": part(data=text),
        "address": part(image_url={"url": f"https://x.example/{text}"}),
        "data URL of text": part(image_url={"url": f"data:text/plain,{text},{'a' * 300}"}),
        "response format": {"response_format": {"type": "json_schema", "json_schema": {"schema": {"title": text}}}},
        "stop": {"stop": ["x", text]},
        "user": {"user": text},
        "metadata": {"metadata": {"id": text, "b": "x"}},
        "dotted name": {"new": {"a.b": {"~c": text}}},
        "unknown": {"new_parameter": text},
        "unknown, deep": {"new_parameter": nested(text)},
        "stream options": {"stream_options": {"new": text}},
        "participant": {"messages": [{**HELLO, "name": text}]},
        "arguments": called({"name": "f", "arguments": text}),
        "called name": called({"name": text, "arguments": "{}"}),
        "legacy call": {"messages": [{"role": "assistant", "function_call": {"name": "f", "arguments": text}}]},
        "unknown of a message": {"messages": [{**HELLO, "new": {"deep": [text]}}]},
    }


@pytest.mark.parametrize("place", places(""))
def test_a_secret_is_found_wherever_it_stands(place: str) -> None:
    request = asking(**places(TOKEN)[place])
    findings = SUITE.inspect(request_passages(request), Direction.INPUT)
    assert [finding.kind for finding in findings] == ["github_token"]
    assert decide(findings, DEFAULT_POLICY, Direction.INPUT) is Verdict.BLOCK
    assert TOKEN not in str(findings)


@pytest.mark.parametrize("place", places(""))
def test_personal_data_is_redacted_wherever_it_stands(place: str) -> None:
    request = asking(**places(EMAIL)[place])
    findings = SUITE.inspect(request_passages(request), Direction.INPUT)
    redacted = redact_request(request, findings)
    assert EMAIL not in str(redacted.wire())
    # All else stands as it stood.
    assert redacted.wire() == asking(**places("<EMAIL_1>")[place]).wire()


@pytest.mark.parametrize(
    "text", [TOKEN, EMAIL, "4111111111111111", "GB29NWBK60161331926819", "AKIA" + "ABCDEFGHIJKLMNOP"]
)
@pytest.mark.parametrize("is_deep", [False, True])
def test_what_names_a_field_is_blocked_for_it_cannot_be_cut_out(text: str, is_deep: bool) -> None:
    fields: dict[str, Any] = {"new": {"deep": [{text: "x"}]}} if is_deep else {"metadata": {text: "x"}}
    findings = SUITE.inspect(request_passages(asking(**fields)), Direction.INPUT)
    assert findings
    assert all(finding.span is None for finding in findings)
    assert decide(findings, DEFAULT_POLICY, Direction.INPUT) is Verdict.BLOCK
    assert text not in str(findings)


def test_a_path_never_shows_a_name_that_is_not_plain() -> None:
    request = asking(metadata={TOKEN: EMAIL})
    assert TOKEN not in str([passage.path for passage in request_passages(request)])


def test_structure_and_media_are_let_be() -> None:
    picture = base64.b64encode(b"\x89PNG" * 100_000).decode()
    request = ChatRequest.model_validate(
        {
            "model": "m",
            "temperature": 0.5,
            "logit_bias": {"50256": -100},
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "what is it?"},
                        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}},
                        {"type": "input_audio", "input_audio": {"data": picture, "format": "wav"}},
                    ],
                },
                {"role": "tool", "tool_call_id": "4111111111111111", "content": "it is"},
            ],
        }
    )
    assert [(passage.path, passage.text) for passage in request_passages(request)] == [
        ("messages.0.content.0.text", "what is it?"),
        ("messages.0.content.2.input_audio.format", "wav"),
        ("messages.1.content", "it is"),
        ("logit_bias", "50256"),
    ]


def test_a_plain_request_has_its_messages_alone() -> None:
    request = asking(temperature=0.1, max_tokens=5, stream=True, seed=4)
    assert [passage.path for passage in request_passages(request)] == ["messages.0.content"]


def test_texts_without_number_are_refused() -> None:
    assert len(request_passages(asking(new=["a"] * (MAX_TEXTS - 1)))) == MAX_TEXTS
    with pytest.raises(PayloadTooLarge, match=str(MAX_TEXTS)):
        request_passages(asking(new=["a"] * MAX_TEXTS))


def test_a_redacted_field_keeps_to_its_limit() -> None:
    request = asking(user=" ".join(["a@b.co"] * 73))
    findings = SUITE.inspect(request_passages(request), Direction.INPUT)
    assert len(findings) == 73
    assert "a@b.co" not in str(redact_request(request, findings).user)


def test_an_answer_is_read_to_its_depth() -> None:
    whole = answer({"content": None, "new": [{"deep": {"a.b": EMAIL}}], "audio": {"id": EMAIL}})
    (passage,) = (passage for passage in answer_passages(whole) if not passage.is_name)
    assert passage.text == EMAIL
    document = whole.model_dump()
    rewrite(document, passage.path, "gone")
    assert document["choices"][0]["message"]["new"] == [{"deep": {"a.b": "gone"}}]


def test_nesting_has_no_limit_of_its_own() -> None:
    request = asking()
    request.tools = [{"deep": nested(TOKEN, 5_000)}]
    (_, passage) = request_passages(request)
    assert passage.text == TOKEN
