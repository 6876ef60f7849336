"""What of a request is its prompt, and the hash that stands for it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from hashlib import sha256
from uuid import UUID

from customhouse.contracts.chat import ChatRequest, Message

_ASSISTANT = "assistant"

_INSTRUCTIONS = frozenset({"system", "developer"})
"""Written once by whoever built the agent, and the same in each of its requests: with them, all would look alike."""


def prompt_of(request: ChatRequest) -> str:
    """The prompt: what is new since the model spoke last, without the system's instructions. Texts joined by newlines.

    That is what the user said or, in an agent's loop, what its tools returned. Earlier turns were prompts of requests
    of their own, and would make every turn of one conversation a near-copy of the turn before. Where nothing is new
    (the model is asked to go on with its own words), the last turn before counts; empty where there is no text at all.
    """
    turns = list(_turns(request.messages))
    return next((text for turn in reversed(turns) if (text := "\n".join(_texts(turn)))), "")


def normalized(text: str) -> str:
    """The same for texts that differ in case, white space or Unicode's ways to write a character (NFKC) alone."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return " ".join(text.casefold().split())


def prompt_hash(organization_id: UUID, text: str) -> str:
    """SHA-256 of organization id, colon and normalized text, in hexadecimal.

    With the organization in it, so that one organization's hashes tell nothing of another's prompts.
    """
    return sha256(f"{organization_id}:{normalized(text)}".encode("utf-8", "replace")).hexdigest()


def _turns(messages: Sequence[Message]) -> Iterator[list[Message]]:
    """Messages between those of the model, instructions left out."""
    turn: list[Message] = []
    for message in messages:
        if message.role == _ASSISTANT:
            yield turn
            turn = []
        elif message.role not in _INSTRUCTIONS:
            turn.append(message)
    yield turn


def _texts(turn: Sequence[Message]) -> Iterator[str]:
    for message in turn:
        if isinstance(message.content, str):
            if message.content.strip():
                yield message.content
        else:
            yield from (part.text for part in message.content or () if part.text and part.text.strip())
