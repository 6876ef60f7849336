"""There and back: what redaction takes out of a text, restoring puts in again."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from customhouse.contracts.chat import ChatRequest
from customhouse.contracts.governance import Direction
from customhouse.governance.checks.pii import PiiCheck
from customhouse.governance.checks.suite import run
from customhouse.governance.passages import request_passages
from customhouse.governance.redaction import redact_request
from customhouse.governance.restoring import originals_of, restore_answer, restore_chunk
from tests.governance.answers import answer

CHECK = PiiCheck()
WORDS = st.sampled_from(["a@b.com", "c.d@e.org", "bob", "<EMAIL_9>", "4111 1111 1111 1111", "<b>", 'say "hi"\n'])


@given(st.lists(WORDS, max_size=12).map(" ".join))
def test_an_echo_of_the_redacted_prompt_is_the_prompt(prompt: str) -> None:
    request = ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": prompt}]})
    found = run(CHECK, request_passages(request), Direction.INPUT).findings
    redacted = redact_request(request, found).messages[0].content
    assert isinstance(redacted, str)
    originals = originals_of(request, found)
    echo = restore_answer(answer({"content": redacted}), originals)
    assert echo.choices[0].message["content"] == prompt
    chunk = restore_chunk({"choices": [{"index": 0, "delta": {"content": redacted}}]}, originals)
    assert chunk["choices"][0]["delta"]["content"] == prompt


def test_arguments_of_tools_are_json_still() -> None:
    said = 'she said "hi"\n'
    arguments = orjson.dumps({"to": "<NAME_1>"}).decode()
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    restored = restore_answer(answer({"tool_calls": [call]}), {"<NAME_1>": said})
    assert orjson.loads(restored.choices[0].message["tool_calls"][0]["function"]["arguments"]) == {"to": said}
    delta = {"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]}
    chunk = restore_chunk({"choices": [{"index": 0, "delta": delta}]}, {"<NAME_1>": said})
    assert orjson.loads(chunk["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"]) == {"to": said}
