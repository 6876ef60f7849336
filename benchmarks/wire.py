"""What the mock provider says and what the load asks: fixed answers, unique prompts."""

from __future__ import annotations

import random
import re
from typing import Any

ANSWER = (
    "The harbour office compared last month's cargo with the plan and found that most ships arrived on time, although "
    "two of them waited a day for a free berth. Storage costs fell slightly because containers left the yard sooner. "
    "The next report should watch the eastern pier, where repairs will begin before the first frost."
)
"""55 words, and so 55 tokens as the mock counts them: streamed, these are 58 events with role, finish and usage."""

PIECES = tuple(re.findall(r"\S+ ?", ANSWER))

MODEL = "mock-model"

PRICE_INPUT_PER_MTOK, PRICE_OUTPUT_PER_MTOK = 1.0, 2.0
"""US dollars for a million tokens."""

_PROMPT_WORDS = 100
_VOCABULARY = (
    "anchor autumn bakery barrel basket bridge candle canvas carpet castle cellar cherry circle cotton dinner engine "
    "fabric farmer forest garden guitar hammer harbour island jacket kettle ladder lantern letter market meadow mirror "
    "morning mountain needle orange orchard paper pencil pepper picture pillow planet pocket potato powder rabbit "
    "ribbon river saddle salmon season shadow silver spring square stable station stone summer table thunder ticket "
    "timber tunnel valley velvet village violin walnut window winter yellow"
)
_WORDS = tuple(re.findall(r"\w+", _VOCABULARY))


def unique_prompt(generator: random.Random) -> str:
    """A hundred words that no other prompt consists of, so that nothing on the way can be answered from a cache."""
    return " ".join(generator.choices(_WORDS, k=_PROMPT_WORDS)) + "."


def request_body(prompt: str, model: str, *, stream: bool) -> dict[str, Any]:
    """A chat request as OpenAI's clients send it; a streamed one asks for its usage."""
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": prompt}]}
    if stream:
        body.update(stream=True, stream_options={"include_usage": True})
    return body


def usage(body: dict[str, Any]) -> dict[str, int]:
    """Tokens as the mock counts them: words."""
    asked = sum(len(str(message.get("content", "")).split()) for message in body.get("messages", []))
    return {"prompt_tokens": asked, "completion_tokens": len(PIECES), "total_tokens": asked + len(PIECES)}


def completion(identity: str, body: dict[str, Any]) -> dict[str, Any]:
    """The whole answer, in OpenAI's format."""
    choice = {"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}
    return {**_head(identity, "chat.completion", body), "choices": [choice], "usage": usage(body)}


def chunks(identity: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The same answer as stream chunks: one a word, with the role before them and finish and usage after."""
    head = _head(identity, "chat.completion.chunk", body)

    def delta(content: dict[str, str], finish: str | None = None) -> dict[str, Any]:
        return {**head, "choices": [{"index": 0, "delta": content, "finish_reason": finish}]}

    parts = [delta({"role": "assistant", "content": ""}), *(delta({"content": piece}) for piece in PIECES)]
    parts.append(delta({}, "stop"))
    if (body.get("stream_options") or {}).get("include_usage"):
        parts.append({**head, "choices": [], "usage": usage(body)})
    return parts


def _head(identity: str, kind: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"id": identity, "object": kind, "created": 1_760_000_000, "model": body.get("model", MODEL)}
