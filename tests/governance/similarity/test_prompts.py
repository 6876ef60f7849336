"""What of a request is its prompt, and its hash."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customhouse.contracts.chat import ChatRequest
from customhouse.governance.similarity.prompts import normalized, prompt_hash, prompt_of

ONE, OTHER = UUID(int=1), UUID(int=2)


def request(*messages: dict[str, Any]) -> ChatRequest:
    return ChatRequest.model_validate({"model": "m", "messages": list(messages)})


def said(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


@pytest.mark.parametrize(
    ("messages", "prompt"),
    [
        ([said("user", "one")], "one"),
        ([said("system", "be kind"), said("user", "one")], "one"),
        ([said("developer", "be kind"), said("user", "one"), said("user", "two")], "one\ntwo"),
        ([said("user", "one"), said("assistant", "two"), said("user", "three")], "three"),
        ([said("user", "one"), said("assistant", None), said("tool", "result")], "result"),
        ([said("user", "one"), said("assistant", "two")], "one"),
        ([said("user", [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {}}])], "see"),
        ([said("user", "one"), said("assistant", "two"), said("user", "  ")], "one"),
        ([said("system", "be kind")], ""),
        ([said("user", None)], ""),
    ],
)
def test_the_prompt_is_what_is_new_since_the_model_spoke(messages: list[dict[str, Any]], prompt: str) -> None:
    assert prompt_of(request(*messages)) == prompt


@pytest.mark.parametrize("same", ["HOW are you?", " how  are\n\tyou? ", "ｈｏｗ are you?"])
def test_case_spaces_and_ways_to_write_a_character_do_not_count(same: str) -> None:
    assert prompt_hash(ONE, same) == prompt_hash(ONE, "how are you?")


def test_organizations_hashes_tell_nothing_of_each_other() -> None:
    assert prompt_hash(ONE, "hi") != prompt_hash(OTHER, "hi")
    assert prompt_hash(ONE, "hi") != prompt_hash(ONE, "ho")


@given(st.text(alphabet=st.characters()))
def test_any_text_has_a_hash(text: str) -> None:
    assert len(prompt_hash(ONE, text)) == 64


@given(st.text(alphabet=st.characters(codec="ascii")))
def test_to_normalize_twice_changes_nothing(text: str) -> None:
    assert normalized(normalized(text)) == normalized(text)
