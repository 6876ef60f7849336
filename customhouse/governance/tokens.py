"""Token counts by estimate: for providers that count nothing, and to see whether a prompt fits a context window."""

from __future__ import annotations

import orjson

from customhouse.contracts.chat import ChatCompletion, ChatRequest
from customhouse.governance.passages import answer_passages, message_texts

ASCII_CHARS_PER_TOKEN = 4
"""OpenAI's rule of thumb for English ("What are tokens and how to count them?", help centre)."""

OTHER_BYTES_PER_TOKEN = 3
"""All other text by its UTF-8 bytes, since byte-level BPE falls back to bytes: a Chinese character (3 bytes) counts
one token, a Cyrillic letter (2 bytes) two thirds, an emoji (4 bytes) one and a third."""

TOKENS_PER_MESSAGE = 4
"""Role and separators of one message (OpenAI Cookbook, "How to count tokens with tiktoken": 3, and the role)."""

TOKENS_PER_IMAGE = 765
"""OpenAI's price of a 1024 x 1024 image in high detail: 170 tokens a tile of four, and 85."""

_IMAGE_SOURCES = (".image_url.url", ".image_url", ".source.url")
"""Ends of paths where an image's address stands, which counts by the image."""

_IMAGE_TYPES = frozenset({"image_url", "image", "input_image"})


def estimate_tokens(text: str) -> int:
    """Tokens of a text, rounded up; 0 for an empty one. An estimate: expect 25 % off either way."""
    if text.isascii():
        return -(-len(text) // ASCII_CHARS_PER_TOKEN)
    ascii_chars = len(text.encode("ascii", "ignore"))
    other_bytes = len(text.encode("utf-8", "surrogatepass")) - ascii_chars
    return -(-ascii_chars // ASCII_CHARS_PER_TOKEN) + -(-other_bytes // OTHER_BYTES_PER_TOKEN)


def estimate_prompt_tokens(request: ChatRequest) -> int:
    """Tokens that a provider will count for the whole request: messages, tools and images."""
    total = TOKENS_PER_MESSAGE * len(request.messages)
    for passage in message_texts(request):
        if not passage.path.endswith(_IMAGE_SOURCES):
            total += estimate_tokens(passage.text)
    for message in request.messages:
        if isinstance(message.content, list):
            total += TOKENS_PER_IMAGE * sum(part.type in _IMAGE_TYPES for part in message.content)
    if request.tools:
        total += len(orjson.dumps(request.tools)) // ASCII_CHARS_PER_TOKEN
    return total


def estimate_completion_tokens(answer: ChatCompletion) -> int:
    """Tokens of all that the model wrote."""
    return sum(estimate_tokens(passage.text) for passage in answer_passages(answer))


def expected_tokens(request: ChatRequest) -> int:
    """The most that a call is expected to use: its prompt, estimated, and what it allows the answers."""
    most = request.max_completion_tokens or request.max_tokens or 0
    return estimate_prompt_tokens(request) + most * (request.n or 1)
