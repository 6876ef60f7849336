"""`chat.completion.chunk`s on their way out: fitted to what the caller asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from customhouse.contracts.chat import Json


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
