from __future__ import annotations

from typing import Any

from customhouse.contracts.chat import ChatRequest
from customhouse.integrations.providers.withheld import withhold

SECRET = "sk-proj-abcdefghijklmnop"


def request(*messages: Any) -> ChatRequest:
    return ChatRequest.model_validate({"model": "m", "messages": list(messages)})


def user(content: object) -> ChatRequest:
    return request({"role": "user", "content": content})


def test_the_key_and_what_looks_like_one() -> None:
    said = f"Key {SECRET} is wrong, so are sk-live_0123456789 and sk-proj-abc***xyz and Bearer abc.def"
    assert withhold(said, secret=SECRET, request=user("x")) == "Key [key] is wrong, so are [key] and [key] and [key]"
    assert withhold("key is missing", secret=None, request=user("x")) == "key is missing"


def test_a_quoted_prompt() -> None:
    prompt = "My number is 078-05-1120."
    assert withhold(f"Bad input '{prompt}'.", secret=None, request=user(prompt)) == "Bad input '[prompt]'."


def test_a_part_of_a_long_prompt() -> None:
    prompt = "first words " * 50 + "the launch code is 0000 and nobody knows it " + "last words " * 50
    said = "cannot parse: 'launch code is 0000 and nobody' at position 600"
    assert withhold(said, secret=None, request=user(prompt)) == "cannot parse: '[prompt]' at position 600"


def test_parts_and_tool_calls() -> None:
    said = "Part 'The colour is mauve' and call '{\"city\": \"Samarkand\"}' are bad."
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"city": "Samarkand"}'}}
    asked = request(
        {"role": "user", "content": [{"type": "text", "text": "The colour is mauve"}]},
        {"role": "assistant", "tool_calls": [call]},
    )
    assert withhold(said, secret=None, request=asked) == "Part '[prompt]' and call '[prompt]' are bad."


def test_what_is_not_the_prompt_stays() -> None:
    said = "The model `gpt-4o-mini-2024-07-18` does not exist or you do not have access to it."
    assert withhold(said, secret=None, request=user("Write a poem about gpt models, please, that is not long.")) == said


def test_the_ends_of_the_prompt_and_of_the_message() -> None:
    prompt = "abcdefghijklmnopqrstuvwxyz0123456789"
    assert withhold(prompt[3:], secret=None, request=user(prompt)) == "[prompt]"
    assert withhold(prompt[:-3], secret=None, request=user(prompt)) == "[prompt]"
    assert withhold(f"{prompt} {prompt[:30]}", secret=None, request=user(prompt)) == "[prompt] [prompt]"
