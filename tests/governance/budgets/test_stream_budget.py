"""A stream asks for more when it outgrows what is held for it, and never goes on much beyond."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from customhouse.contracts.chat import Json
from customhouse.governance.budgets.stream_budget import StreamBudget
from customhouse.governance.tokens import estimate_tokens


def a_chunk(text: str, **delta: object) -> Json:
    return {"choices": [{"index": 0, "delta": {"content": text, **delta}}]}


def test_it_counts_whatever_is_written() -> None:
    budget = StreamBudget(covered_tokens=3, step_usd=Decimal(1), step_tokens=3)
    assert not budget.write(a_chunk("four"))
    assert not budget.write({"choices": [{"index": 1, "delta": {"reasoning_content": "four"}}]})
    assert not budget.write({"choices": [], "usage": {"completion_tokens": 5000}})
    call = {"index": 0, "function": {"arguments": "four"}}
    assert not budget.write({"choices": [{"delta": {"tool_calls": [call, {"index": 1}], "content": None}}]})
    assert budget.write(a_chunk("four"))
    budget.extended()
    assert not budget.write(a_chunk(""))


@given(pieces=st.lists(st.text(max_size=40), max_size=60), covered=st.integers(1, 50))
def test_what_passes_is_covered(pieces: list[str], covered: int) -> None:
    budget = StreamBudget(covered_tokens=covered, step_usd=Decimal(1), step_tokens=covered)
    passed = ""
    for piece in pieces:
        if budget.write(a_chunk(piece)):
            break
        passed += piece
    assert estimate_tokens(passed) <= covered + 2  # characters of both kinds are rounded up each
