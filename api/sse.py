"""Server-sent events, written straight to ASGI: a stream's chunks leave in as few sends as they come in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from customhouse.contracts.chat import Json
from customhouse.contracts.timing import SSE_KEEPALIVE

DONE = b"data: [DONE]\n\n"
KEEPALIVE = b": keep-alive\n\n"


def event(data: Json) -> bytes:
    return b"data: " + orjson.dumps(data) + b"\n\n"


class EventStream(Response):
    """Sends what `source` yields, with a comment whenever it is silent for long.

    `on_hang_up` is called when the client goes away before the end; `farewell` is sent when we have to.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        source: AsyncIterator[bytes],
        headers: Mapping[str, str],
        *,
        farewell: bytes,
        on_hang_up: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(headers={"cache-control": "no-cache", "x-accel-buffering": "no", **headers})
        del self.headers["content-length"]
        self._source = source
        self._farewell = farewell
        self._on_hang_up = on_hang_up

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        writer = asyncio.current_task()
        hung_up = False

        async def watch() -> None:
            nonlocal hung_up
            while (await receive())["type"] != "http.disconnect":
                pass
            hung_up = True
            if writer is not None:
                writer.cancel()

        watcher = asyncio.ensure_future(watch())
        try:
            async for part in _with_keepalive(self._source):
                await send({"type": "http.response.body", "body": part, "more_body": True})
            watcher.cancel()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except asyncio.CancelledError:
            if writer is not None:
                writer.uncancel()
            if not hung_up:  # the process is being stopped
                await send({"type": "http.response.body", "body": self._farewell, "more_body": False})
            elif self._on_hang_up is not None:
                self._on_hang_up()
        finally:
            watcher.cancel()


async def _with_keepalive(source: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """`source`, and a comment for every SSE_KEEPALIVE of silence."""
    pending: asyncio.Future[bytes] | None = None
    try:
        while True:
            pending = asyncio.ensure_future(anext(source))
            while not (await asyncio.wait({pending}, timeout=SSE_KEEPALIVE.total_seconds()))[0]:
                yield KEEPALIVE
            try:
                part = pending.result()
            except StopAsyncIteration:
                return
            yield part
    finally:
        if pending is not None and not pending.done():
            pending.cancel()
