"""A mock OpenAI-compatible provider that answers at once: `python -m benchmarks.provider PORT [DELAY_MS]`.

aiohttp on uvloop, so that it costs the machine less than anything it is compared with. aiohttp sets TCP_NODELAY.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import uvloop
from aiohttp import web

from benchmarks.wire import MODEL, chunks, completion

Chat = Callable[[web.Request], Awaitable[web.StreamResponse]]

HOST = "127.0.0.1"


def provider_app(chat: Chat) -> web.Application:
    """The two routes that clients of OpenAI's API need, with `chat` as the answer."""

    async def models(_request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": MODEL, "object": "model"}]})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_get("/v1/models", models)
    return app


def answer_at_once(delay_s: float = 0.0) -> Chat:
    """Answers whole or, with `stream`, in one event a word; after `delay_s`, where there is one."""
    numbers = itertools.count(1)

    async def chat(request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        if delay_s:
            await asyncio.sleep(delay_s)
        identity = f"chatcmpl-mock-{next(numbers)}"
        if not body.get("stream"):
            return web.Response(body=orjson.dumps(completion(identity, body)), content_type="application/json")
        response = await open_stream(request)
        for chunk in chunks(identity, body):
            await response.write(event(chunk))
        await close_stream(response)
        return response

    return chat


def event(chunk: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(chunk) + b"\n\n"


async def open_stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)
    return response


async def close_stream(response: web.StreamResponse) -> None:
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()


def main(port: int, delay_ms: float = 0.0) -> None:
    uvloop.install()
    web.run_app(provider_app(answer_at_once(delay_ms / 1000)), host=HOST, port=port, access_log=None, print=None)


if __name__ == "__main__":
    main(int(sys.argv[1]), *map(float, sys.argv[2:3]))
