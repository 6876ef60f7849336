"""A local provider that answers as a test scripts it, over real HTTP, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from customhouse.contracts.chat import Json
from tests.integrations.providers import wire_openai as wire


@dataclass
class Call:
    """One request as it arrived."""

    provider: str
    body: Json
    headers: dict[str, str]
    closed: bool = False
    """True once the caller has hung up before the answer's end."""
    ended: bool = False

    @property
    def prompt(self) -> str:
        return str(self.body["messages"][-1]["content"])


Reply = Callable[[web.Request, Call], Awaitable[web.StreamResponse]]


@dataclass
class ProviderDouble:
    """Serves several providers, each under a path of its own, told apart by the first part of the path."""

    url: str = ""
    calls: list[Call] = field(default_factory=list)
    _scripts: dict[str, deque[Reply]] = field(default_factory=lambda: defaultdict(deque))
    _always: dict[str, Reply] = field(default_factory=dict)

    def base_url(self, provider: str) -> str:
        return f"{self.url}/{provider}/v1"

    def will(self, *replies: Reply, provider: str = "mock") -> None:
        """The next answers, in order; after them it says hello."""
        self._scripts[provider].extend(replies)

    def always(self, reply: Reply, provider: str = "mock") -> None:
        """What it answers whenever nothing else is scripted."""
        self._always[provider] = reply

    def asked(self, provider: str = "mock") -> list[Call]:
        return [call for call in self.calls if call.provider == provider]

    @property
    def busy(self) -> bool:
        return any(not call.ended for call in self.calls)

    def forget(self) -> None:
        self.calls.clear()
        self._scripts.clear()
        self._always.clear()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["provider"]
        headers = {key.lower(): value for key, value in request.headers.items()}
        call = Call(name, await request.json(), headers)
        self.calls.append(call)
        script = self._scripts[name]
        reply = script.popleft() if script else self._always.get(name, hello)
        try:
            return await reply(request, call)
        except (asyncio.CancelledError, ConnectionResetError):
            call.closed = True
            raise
        finally:
            call.ended = True


async def hello(request: web.Request, call: Call) -> web.StreamResponse:
    if call.body.get("stream"):
        return await stream("Hello", " there.")(request, call)
    return await whole("Hello there.")(request, call)


def whole(text: str = "Hello there.", **changes: Any) -> Reply:
    """A whole answer, in as many choices as were asked for."""

    async def reply(_: web.Request, call: Call) -> web.StreamResponse:
        choices = [
            {"index": i, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            for i in range(call.body.get("n") or 1)
        ]
        return web.json_response({**wire.whole(choices=choices), **changes})

    return reply


def calling_tool(name: str, arguments: str) -> Reply:
    """A whole answer that calls a tool."""
    call = {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return whole(choices=[{"index": 0, "message": message, "finish_reason": "tool_calls"}])


def failure(status: int, message: str = "It broke.", *, code: str | None = None, **headers: str) -> Reply:
    """An error in OpenAI's form. Header names are written with underscores."""

    async def reply(_: web.Request, __: Call) -> web.StreamResponse:
        body = {"error": {"message": message, "type": "error", "param": None, "code": code}}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.json_response(body, status=status, headers=named)

    return reply


def after(gate: asyncio.Event, reply: Reply) -> Reply:
    """The reply, once the gate opens. A caller that hangs up before shows in `Call.closed`."""

    async def waiting(request: web.Request, call: Call) -> web.StreamResponse:
        await gate.wait()
        return await reply(request, call)

    return waiting


async def silence(_: web.Request, __: Call) -> web.StreamResponse:
    """No answer, until the caller hangs up."""
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


def stream(*parts: str | Json | asyncio.Event, breaks: bool = False) -> Reply:
    """A streamed answer: texts and chunks in order; it waits at each event. `breaks`: the connection ends it."""

    async def reply(request: web.Request, _: Call) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)

        async def send(chunk: Json) -> None:
            await response.write(b"data: " + orjson.dumps(chunk) + b"\n\n")

        await send(wire.chunk({"role": "assistant", "content": ""}))
        for part in parts:
            if isinstance(part, asyncio.Event):
                await part.wait()
            else:
                await send(wire.chunk({"content": part}) if isinstance(part, str) else part)
        if breaks:
            assert request.transport is not None
            request.transport.abort()
            return response
        await send(wire.chunk(finish="stop"))
        await send(wire.usage_chunk())
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response

    return reply


@asynccontextmanager
async def running_provider() -> AsyncIterator[ProviderDouble]:
    double = ProviderDouble()
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/{provider}/v1/chat/completions", double.handle)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    double.url = f"http://{host}:{port}"
    try:
        yield double
    finally:
        await runner.cleanup()
