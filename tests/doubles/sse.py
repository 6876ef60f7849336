"""Reading our server-sent events as bytes, where the official client would hide something."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from customhouse.contracts.chat import Json


@dataclass
class EventReader:
    """A response's events as they come. `text` is all text that has arrived so far."""

    response: httpx.Response
    events: list[Json | str] = field(default_factory=list)
    """JSON objects, `[DONE]`, and comments with their colon."""

    def __post_init__(self) -> None:
        self._lines = self.response.aiter_lines()

    @property
    def text(self) -> str:
        return text_of(self.events)

    @property
    def last(self) -> Json | str:
        return self.events[-1]

    async def read(self) -> EventReader:
        """To the end."""
        async for event in self.events_to_come():
            self.events.append(event)
        return self

    async def read_until(self, text: str) -> EventReader:
        """Until that text has arrived; the rest is left unread."""
        async for event in self.events_to_come():
            self.events.append(event)
            if text in self.text:
                return self
        raise AssertionError(f"the stream ended without {text!r}: {self.events}")

    async def events_to_come(self) -> AsyncIterator[Json | str]:
        async for line in self._lines:
            if line.startswith(": "):
                yield line
            elif line.startswith("data: "):
                data = line.removeprefix("data: ")
                yield data if data == "[DONE]" else orjson.loads(data)
            else:
                assert line == "", line


def text_of(events: list[Json | str]) -> str:
    return "".join(
        choice.get("delta", {}).get("content") or ""
        for event in events
        if isinstance(event, dict)
        for choice in event.get("choices", ())
    )


@asynccontextmanager
async def reading(client: httpx.AsyncClient, method: str, path: str, **options: Any) -> AsyncIterator[EventReader]:
    """Leaving the block hangs up."""
    async with client.stream(method, path, **options) as response:
        yield EventReader(response)
