"""`chat.completion.chunk`s on their way out: made from a whole answer, or fitted to what the caller asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from customhouse.contracts.chat import ChatCompletion, Json


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


def as_asked(chunks: Iterable[Json], *, include_usage: bool) -> Iterator[Json]:
    """Providers are always asked for usage, since it is billed; a caller sees it only on request, as at OpenAI."""
    for chunk in chunks:
        if include_usage:
            yield chunk
        elif chunk.get("choices"):
            if "usage" in chunk:
                yield {name: value for name, value in chunk.items() if name != "usage"}
            else:
                yield chunk
