from __future__ import annotations

from typing import Any

import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from customhouse.contracts.chat import Json
from customhouse.contracts.governance import Direction, Finding, Severity, Verdict
from customhouse.governance.checks.registry import builtin_checks
from customhouse.governance.policy import DEFAULT_POLICY, Policy, builtin_policy
from customhouse.governance.streaming import StreamGovernor
from tests.governance.answers import answer, chunk, joined
from tests.governance.samples import PII, PRIVATE_KEY, SECRETS

SUITE = builtin_checks(DEFAULT_POLICY)
PROSE = "The customs house inspects every parcel and charges what is due. " * 8


def pieces(text: str, size: int = 7) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def governor(policy: Policy = DEFAULT_POLICY, *, hold_all: bool = False) -> StreamGovernor:
    return StreamGovernor(SUITE, policy, hold_all=hold_all)


def test_harmless_text_flows_before_the_answer_is_whole() -> None:
    gate = governor()
    released = [out for piece in pieces(PROSE) for out in gate.feed(chunk({"content": piece}))]
    early = joined(released)
    assert PROSE.startswith(early)
    assert len(PROSE) - len(early) <= SUITE.window(Direction.OUTPUT) + 20
    finished = gate.finish(answer({"content": PROSE}))
    assert early + joined(finished.chunks) == PROSE
    assert finished.verdict is Verdict.ALLOW
    assert finished.answer == answer({"content": PROSE})


def test_text_without_spaces_flows_too() -> None:
    text = "税関はすべての荷物を検査する。" * 30
    gate = governor()
    released = [out for piece in pieces(text) for out in gate.feed(chunk({"content": piece}))]
    assert len(joined(released)) > len(text) / 2


def test_held_to_the_end_on_demand() -> None:
    for gate in (governor(hold_all=True), governor(DEFAULT_POLICY.model_copy(update={"hold_stream": True}))):
        assert [out for piece in pieces(PROSE) for out in gate.feed(chunk({"content": piece}))] == []
        assert joined(gate.finish(answer({"content": PROSE})).chunks) == PROSE


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_stops_the_stream_before_its_first_character(kind: str) -> None:
    text = f"{PROSE}{SECRETS[kind]} {PROSE}"
    gate = governor()
    released = [out for piece in pieces(text) for out in gate.feed(chunk({"content": piece}))]
    assert gate.is_stopped
    assert [finding.check for finding in gate.offence] == ["secrets"] * len(gate.offence)
    assert PROSE.startswith(joined(released))
    assert gate.feed(chunk({"content": PROSE})) == []
    finished = gate.finish(answer({"content": text}))
    assert finished.chunks == []
    assert finished.verdict is Verdict.BLOCK


def test_a_private_key_is_cut_out_whole_where_the_policy_redacts() -> None:
    text = f"{PROSE}\n{PRIVATE_KEY}\n{PROSE}"
    gate = governor(builtin_policy(secrets=Verdict.REDACT))
    released = [out for piece in pieces(text) for out in gate.feed(chunk({"content": piece}))]
    finished = gate.finish(answer({"content": text}))
    assert joined([*released, *finished.chunks]) == f"{PROSE}\n<PRIVATE_KEY_1>\n{PROSE}"


def test_redactions_are_numbered_alike_in_stream_and_answer() -> None:
    """Also where two texts are interleaved, and the order of first appearance differs from the answer's."""
    gate = governor()
    content, reasoning = f"mail bob@x.org {PROSE}", f"think ann@x.org and bob@x.org {PROSE}"
    released: list[Json] = []
    for name, text in (("reasoning_content", reasoning), ("content", content)):
        for piece in pieces(text):
            released += gate.feed(chunk({name: piece}))
    finished = gate.finish(answer({"content": content, "reasoning_content": reasoning}))
    message = finished.answer.choices[0].message
    every = [*released, *finished.chunks]
    assert joined(every) == message["content"] == f"mail <EMAIL_2> {PROSE}"
    assert joined(every, "reasoning_content") == message["reasoning_content"]
    assert finished.verdict is Verdict.REDACT


def test_choices_are_governed_apart() -> None:
    gate = governor()
    released: list[Json] = []
    for piece in pieces(PROSE, 40):
        released += gate.feed(chunk({"content": piece}, index=0))
        released += gate.feed(chunk({"content": piece.upper()}, index=1))
    finished = gate.finish(answer({"content": PROSE}, {"content": PROSE.upper()}))
    every = [*released, *finished.chunks]
    assert joined(every, index=0) == PROSE
    assert joined(every, index=1) == PROSE.upper()


def test_role_first_and_finish_reason_and_usage_last() -> None:
    gate = governor()
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    incoming = [
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Hello there."}),
        chunk({}, finish_reason="stop"),
        {**chunk({}), "choices": [], "usage": usage},
    ]
    released = [out for item in incoming for out in gate.feed(item)]
    assert [out["choices"][0]["delta"] for out in released] == [{"role": "assistant", "content": ""}]
    rest = gate.finish(answer({"content": "Hello there."})).chunks
    assert [[choice["delta"] for choice in out["choices"]] for out in rest] == [[{"content": "Hello there."}], [{}], []]
    assert [choice["finish_reason"] for out in rest for choice in out["choices"]] == [None, "stop"]
    assert rest[-1]["usage"] == usage
    assert all(out["id"] == "chatcmpl-1" for out in [*released, *rest])


def test_notes_on_the_prompt_pass() -> None:
    note = {**chunk({}), "choices": [], "prompt_filter_results": []}
    assert governor().feed(note) == [note]


def tool(index: int, arguments: str = "", **head: Any) -> Json:
    function = {"arguments": arguments, **({"name": head.pop("name")} if "name" in head else {})}
    return {"tool_calls": [{"index": index, **head, "function": function}]}


def test_tool_calls_alone_flow_and_their_arguments_are_governed() -> None:
    gate = governor()
    arguments = '{"text": "' + PROSE + '"}'
    released = gate.feed(chunk(tool(0, id="call_1", type="function", name="send")))
    assert released[0]["choices"][0]["delta"]["tool_calls"] == [
        {"index": 0, "id": "call_1", "type": "function", "function": {"name": "send"}}
    ]
    for piece in pieces(arguments):
        released += gate.feed(chunk(tool(0, piece)))
    assert len(released) > 2
    message = {
        "content": None,
        "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "send", "arguments": arguments}}],
    }
    released += gate.finish(answer(message, finish_reason="tool_calls")).chunks
    parts = [out["choices"][0]["delta"].get("tool_calls", [{}])[0] for out in released]
    assert "".join(part.get("function", {}).get("arguments", "") for part in parts) == arguments


def test_a_secret_in_arguments_stops_the_stream() -> None:
    gate = governor()
    arguments = '{"key": "' + SECRETS["stripe_key"] + '", "text": "' + PROSE + '"}'
    released = [out for piece in pieces(arguments) for out in gate.feed(chunk(tool(0, piece)))]
    assert gate.is_stopped
    assert not any("sk_live" in str(out) for out in released)


def test_what_a_client_puts_together_is_the_governed_answer() -> None:
    """The official client's own accumulator, over text, two tool calls and the finish."""
    first, second = '{"to": "ann@x.org"}', '{"n": 2}'
    incoming = [
        chunk({"role": "assistant", "content": ""}),
        *(chunk({"content": piece}) for piece in pieces(PROSE)),
        chunk(tool(0, id="call_1", type="function", name="send")),
        *(chunk(tool(0, piece)) for piece in pieces(first, 4)),
        chunk(tool(1, id="call_2", type="function", name="count")),
        *(chunk(tool(1, piece)) for piece in pieces(second, 4)),
        chunk({}, finish_reason="tool_calls"),
    ]
    calls = [
        {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for n, name, arguments in ((1, "send", first), (2, "count", second))
    ]
    gate = governor()
    released = [out for item in incoming for out in gate.feed(item)]
    finished = gate.finish(answer({"content": PROSE, "tool_calls": calls}, finish_reason="tool_calls"))
    state = ChatCompletionStreamState()
    for item in [*released, *finished.chunks]:
        state.handle_chunk(ChatCompletionChunk.model_validate(item))
    message = state.get_final_completion().choices[0].message
    governed = finished.answer.choices[0].message
    assert message.content == governed["content"] == PROSE
    assert [call.function.arguments for call in message.tool_calls or []] == [
        call["function"]["arguments"] for call in governed["tool_calls"]
    ]
    assert message.tool_calls is not None
    assert message.tool_calls[0].function.arguments == '{"to": "<EMAIL_1>"}'


def test_log_probabilities_are_joined_at_the_end_and_left_out_where_text_was_redacted() -> None:
    for text, is_kept in (("hello you ", True), (PII["email"], False)):
        gate = governor()
        tokens = [{"token": piece, "logprob": -0.1} for piece in pieces(text, 5)]
        for token in tokens:
            assert gate.feed(chunk({"content": token["token"]}, logprobs={"content": [token]})) == []
        gate.feed(chunk({}, finish_reason="stop"))
        rest = gate.finish(answer({"content": text})).chunks
        last = rest[-1]["choices"][0]
        assert last["finish_reason"] == "stop"
        assert last.get("logprobs") == ({"content": tokens} if is_kept else None)


def test_structured_fields_wait_and_stay_behind_where_they_offend() -> None:
    gate = governor()
    assert gate.feed(chunk({"reasoning_details": [{"text": "mail ann@x.org"}]})) == []
    assert gate.feed(chunk({"annotations": [{"url": "https://x.org"}]})) == []
    rest = gate.finish(answer({"content": "ok"})).chunks
    assert [out["choices"][0]["delta"] for out in rest] == [{"annotations": [{"url": "https://x.org"}]}]


def test_findings_of_the_whole_answer_alone_hold_the_rest_back() -> None:
    gate = governor(hold_all=True)
    gate.feed(chunk({"content": "{}"}))
    extra = Finding(
        check="json_schema", kind="mismatch", severity=Severity.HIGH, direction=Direction.OUTPUT, explanation="No."
    )
    finished = gate.finish(answer({"content": "{}"}), [extra])
    assert finished.chunks == []
    assert finished.verdict is Verdict.BLOCK
    assert finished.findings == [extra]


def test_review_lets_nothing_out_either() -> None:
    gate = governor(builtin_policy(pii=Verdict.REVIEW))
    for piece in pieces(f"{PII['email']} {PROSE}"):
        assert gate.feed(chunk({"content": piece})) == []
    assert gate.is_stopped
    assert gate.finish(answer({"content": f"{PII['email']} {PROSE}"})).verdict is Verdict.REVIEW


def test_a_function_call_of_old_is_governed() -> None:
    gate = governor()
    released = gate.feed(chunk({"function_call": {"name": "send", "arguments": ""}}))
    released += gate.feed(chunk({"function_call": {"arguments": '{"to": "ann@x.org"}'}}))
    message = {"content": None, "function_call": {"name": "send", "arguments": '{"to": "ann@x.org"}'}}
    released += gate.finish(answer(message, finish_reason="function_call")).chunks
    deltas = [out["choices"][0]["delta"] for out in released]
    assert (
        deltas
        == [
            {"function_call": {"name": "send"}},
            {"function_call": {"arguments": '{"to": "<EMAIL_1>"}'}},
            {},
        ][: len(deltas)]
    )
