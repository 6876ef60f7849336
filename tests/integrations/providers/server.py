"""A local server that speaks as a provider does, well or badly, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from customhouse.contracts.chat import Json

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: Json
    peer: Any


class Upstream:
    """Answers every request with `handler`."""

    def __init__(self) -> None:
        self.url = ""
        self.seen: list[Seen] = []
        self.hung_up = asyncio.Event()
        self.handler: Handler = _not_set

    def answers(self, body: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """Answer with JSON (or text, or bytes)."""
        content = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else orjson.dumps(body)
        content_type = "application/json" if not isinstance(body, (bytes, str)) else "text/html"

        async def handler(_: web.Request) -> web.StreamResponse:
            return web.Response(body=content, status=status, headers={"Content-Type": content_type, **(headers or {})})

        self.handler = handler

    def streams(self, pieces: Iterable[bytes], *, then: Handler | None = None) -> None:
        """Stream the pieces; `then` may break off or hang instead of ending the body."""
        written = list(pieces)

        async def handler(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            for piece in written:
                await response.write(piece)
            if then is not None:
                return await then(request)
            await response.write_eof()
            return response

        self.handler = handler

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        peer = request.transport.get_extra_info("peername") if request.transport else None
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.seen.append(Seen(request.path_qs, headers, body, peer))
        try:
            return await self.handler(request)
        except (asyncio.CancelledError, ConnectionResetError):
            self.hung_up.set()
            raise


async def _not_set(_: web.Request) -> web.StreamResponse:
    raise AssertionError("the test has not said how the provider answers")


async def hang(_: web.Request) -> web.StreamResponse:
    """Say nothing until the caller hangs up."""
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def reset(request: web.Request) -> web.StreamResponse:
    """Drop the connection without a word."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@asynccontextmanager
async def running_upstream() -> AsyncIterator[Upstream]:
    upstream = Upstream()
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/{tail:.*}", upstream.handle)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    upstream.url = f"http://{host}:{port}"
    try:
        yield upstream
    finally:
        await runner.cleanup()


def sse(*events: Json | str) -> list[bytes]:
    """As OpenAI-compatible servers write them."""
    return [b"data: " + (e.encode() if isinstance(e, str) else orjson.dumps(e)) + b"\n\n" for e in events]


def named_sse(*events: Json) -> list[bytes]:
    """As Anthropic writes them."""
    return [f"event: {e['type']}\ndata: ".encode() + orjson.dumps(e) + b"\n\n" for e in events]
