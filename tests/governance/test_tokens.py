from __future__ import annotations

import pytest

from customhouse.contracts.chat import ChatRequest
from customhouse.governance.tokens import (
    TOKENS_PER_IMAGE,
    TOKENS_PER_MESSAGE,
    estimate_completion_tokens,
    estimate_prompt_tokens,
    estimate_tokens,
)
from tests.governance.answers import answer


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("a", 1),
        ("abcd", 1),
        ("abcde", 2),
        ("漢字", 2),
        ("привет", 4),
        ("🙂🙂🙂", 4),
        ("abcd漢", 2),
        ("\ud83d", 1),
    ],
)
def test_estimates(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


def test_a_prompt_counts_messages_images_and_tools() -> None:
    request = ChatRequest.model_validate(
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": "abcd"},
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "abcd"}, {"type": "image_url", "image_url": {"url": "u"}}],
                },
            ],
        }
    )
    plain = 2 * TOKENS_PER_MESSAGE + 2 + TOKENS_PER_IMAGE
    assert estimate_prompt_tokens(request) == plain
    request.tools = [{"type": "function", "function": {"name": "f", "description": "d" * 400}}]
    assert estimate_prompt_tokens(request) > plain + 100


def test_an_answer_counts_all_that_was_written() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "abcd"}}
    message = {"content": "abcd", "reasoning_content": "abcd", "tool_calls": [call]}
    assert estimate_completion_tokens(answer(message, {"content": None})) == 3
