"""`chat.completion.chunk`s on their way: as a worker publishes them, and made from a whole answer."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from customhouse.contracts.chat import ChatCompletion, Json
from customhouse.contracts.governance import Verdict


class ChunkBatch(BaseModel):
    """Released chunks, as the worker that makes the call publishes them through the workflow."""

    attempt: int
    """A second attempt's chunks are another answer: what the first one's reader has seen cannot be taken back."""
    chunks: list[Json]
    verdict: Verdict
    """On the request."""
    waited_ms: float
    """What the provider took to its first token."""


def chunks_of(answer: ChatCompletion) -> Iterator[Json]:
    """A stored answer as a stream: for a caller who comes back for it, or whose stream was made elsewhere."""
    head = {"id": answer.id, "object": "chat.completion.chunk", "created": answer.created, "model": answer.model}
    for choice in answer.choices:
        delta = {name: value for name, value in choice.message.items() if value is not None}
        if isinstance(calls := delta.get("tool_calls"), list):
            delta["tool_calls"] = [{"index": index, **call} for index, call in enumerate(calls)]
        yield {**head, "choices": [{"index": choice.index, "delta": delta, "finish_reason": None}]}
        end = {"index": choice.index, "delta": {}, "finish_reason": choice.finish_reason}
        yield {**head, "choices": [end]}
    if answer.usage is not None:
        yield {**head, "choices": [], "usage": answer.usage.model_dump()}
