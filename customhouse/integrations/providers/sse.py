"""Splits a body of server-sent events into events, as the bytes arrive.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation. Ours because a
stream's cost is paid per event: working on whole network reads as bytes spares the decoding and the line by line
iteration of general clients.
"""

from __future__ import annotations

from typing import NamedTuple


class ServerSentEvent(NamedTuple):
    event: str
    """Name of the event; empty where the server names none."""
    data: bytes


class EventParser:
    """Feed it bytes, get the events that they complete."""

    def __init__(self) -> None:
        self._buffer = b""

    @property
    def pending_bytes(self) -> int:
        """Size of the event that is not complete yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        buffer = self._buffer + data if self._buffer else data
        if b"\r" in buffer:
            buffer = self._with_plain_newlines(buffer)
        *blocks, self._buffer = buffer.split(b"\n\n")
        return [event for block in blocks if (event := _event(block)) is not None]

    def close(self) -> list[ServerSentEvent]:
        """The event that the end of the body completes. The standard drops it, but some servers end without the blank
        line; one that was cut off fails later, as its JSON is not whole."""
        return self.feed(b"\n\n")

    @staticmethod
    def _with_plain_newlines(buffer: bytes) -> bytes:
        # A carriage return at the very end may be the first half of a CRLF whose second half has not arrived.
        held = b"\r" if buffer.endswith(b"\r") else b""
        body = buffer[:-1] if held else buffer
        return body.replace(b"\r\n", b"\n").replace(b"\r", b"\n") + held


def _event(block: bytes) -> ServerSentEvent | None:
    if block.startswith(b"data: ") and b"\n" not in block:  # nearly every event of an OpenAI-compatible server
        return ServerSentEvent("", block[6:])
    name, data = "", []
    for line in block.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode("utf-8", "replace")
    joined = b"\n".join(data)
    return ServerSentEvent(name, joined) if joined else None  # an empty one only keeps the connection open
