from __future__ import annotations

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from customhouse.contracts.chat import ChatCompletion, ChatRequest
from customhouse.contracts.governance import Direction, Finding, Severity, Span
from customhouse.governance.checks.pii import PiiCheck
from customhouse.governance.checks.suite import CheckSuite
from customhouse.governance.passages import answer_passages, request_passages
from customhouse.governance.redaction import Placeholders, redact_answer, redact_request, redact_text
from tests.governance.answers import answer

SUITE = CheckSuite([PiiCheck()])


def finding(start: int, end: int, kind: str = "email", path: str = "p") -> Finding:
    return Finding(
        check="pii",
        kind=kind,
        severity=Severity.LOW,
        direction=Direction.INPUT,
        span=Span(path=path, start=start, end=end),
        explanation="x",
    )


def test_the_same_value_has_the_same_number_across_the_request() -> None:
    request = ChatRequest.model_validate(
        {
            "model": "m",
            "seed": 7,
            "messages": [
                {"role": "system", "content": "You serve bob@x.org."},
                {"role": "user", "content": [{"type": "text", "text": "ann@x.org to bob@x.org"}]},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"to":"ann@x.org"}'}}
                    ],
                },
                {"role": "tool", "tool_call_id": "1", "content": "sent to cy@x.org"},
            ],
        }
    )
    findings = SUITE.inspect(request_passages(request), Direction.INPUT)
    redacted = redact_request(request, findings)
    assert [passage.text for passage in request_passages(redacted)] == [
        "You serve <EMAIL_1>.",
        "<EMAIL_2> to <EMAIL_1>",
        "f",
        '{"to":"<EMAIL_2>"}',
        "sent to <EMAIL_3>",
    ]
    assert redacted.seed == 7
    assert "x.org" not in redacted.model_dump_json()
    assert "ann@x.org" in request.model_dump_json()


def test_nothing_to_redact_gives_the_same_object() -> None:
    request = ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
    assert redact_request(request, []) is request


def test_overlapping_spans_are_one() -> None:
    found = [finding(2, 6, "phone"), finding(4, 8, "email"), finding(8, 9, "iban"), finding(2, 5, "email")]
    assert redact_text("0123456789", found, Placeholders()) == "01<PHONE_1><IBAN_1>9"


def test_an_answer_keeps_everything_else() -> None:
    whole = answer(
        {"content": "ask ann@x.org", "reasoning_content": "ann@x.org?", "annotations": []},
        {"content": "no one"},
        usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
        system_fingerprint="fp",
    )
    document = whole.model_dump()
    document["choices"][0]["logprobs"] = {"content": [{"token": "ann"}]}
    whole = ChatCompletion.model_validate(document)
    findings = SUITE.inspect(answer_passages(whole), Direction.OUTPUT)
    redacted = redact_answer(whole, findings)
    assert redacted.choices[0].message["content"] == "ask <EMAIL_1>"
    assert redacted.choices[0].message["reasoning_content"] == "<EMAIL_1>?"
    assert redacted.choices[1] == whole.choices[1]
    assert redacted.usage == whole.usage
    assert redacted.choices[0].model_extra == {"logprobs": None}


def test_texts_one_level_down_are_seen() -> None:
    whole = answer({"content": None, "audio": {"transcript": "a@b.co"}, "reasoning_details": [{"text": "c@d.co"}]})
    redacted = redact_answer(whole, SUITE.inspect(answer_passages(whole), Direction.OUTPUT))
    assert redacted.choices[0].message["audio"] == {"transcript": "<EMAIL_1>"}
    assert redacted.choices[0].message["reasoning_details"] == [{"text": "<EMAIL_2>"}]


@settings(max_examples=200, deadline=None)
@given(before=st.text(max_size=12), after=st.text(max_size=12), ascii_only=st.booleans())
def test_tool_call_arguments_stay_json(before: str, after: str, ascii_only: bool) -> None:
    """Also where the finding begins within an escape: `\\nann@x.org` matches from the `n` on."""
    encodable = [text.encode("utf-8", "ignore").decode() for text in (before, after)]
    raw = orjson.dumps({"a": f"{encodable[0]}ann@x.org{encodable[1]}", "b": 1}).decode()
    if ascii_only:
        raw = "".join(c if c.isascii() else c.encode("unicode_escape").decode() for c in raw if ord(c) < 65536)
        raw = raw.replace("\\x", "\\u00")
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": raw}}
    whole = answer({"content": None, "tool_calls": [call]})
    redacted = redact_answer(whole, SUITE.inspect(answer_passages(whole), Direction.OUTPUT))
    text = redacted.choices[0].message["tool_calls"][0]["function"]["arguments"]
    assert orjson.loads(text)["b"] == 1
