"""All that a chunk says is counted, wherever it stands."""

from __future__ import annotations

from customhouse.contracts.chat import Json
from customhouse.governance.delta_texts import delta_texts
from tests.governance.answers import chunk


def test_every_field_that_is_let_out_is_read() -> None:
    said = chunk(
        {
            "role": "assistant",
            "content": "one",
            "reasoning": "two",
            "refusal": "",
            "tool_calls": [
                {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": "three"}},
                {"index": 1, "id": "call_2", "type": "custom", "custom": {"name": "g", "input": "four"}},
            ],
            "function_call": {"name": "h", "arguments": "five"},
        }
    )
    assert list(delta_texts(said)) == ["one", "two", "three", "four", "five"]


def test_odd_chunks_say_nothing() -> None:
    odd: tuple[Json, ...] = (
        {},
        {"choices": None},
        chunk({}),
        chunk({"tool_calls": [None, {"function": []}], "function_call": "x"}),
    )
    assert [list(delta_texts(each)) for each in odd] == [[], [], [], []]
