"""A mock provider that knows which invocation calls, counts the calls, and can spring a trap at a moment of a call.

It runs in the benchmark's own process, so that nothing which is killed takes its counts with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any

import orjson
from aiohttp import web

from benchmarks.provider import HOST, close_stream, event, open_stream, provider_app
from benchmarks.wire import chunks, completion
from workers.embedded.ports import free_port

KEY = re.compile(r"\bchaos-[a-z]+-[a-z]+\b")
"""Invocations bear their idempotency key in the prompt: nothing else that a provider is told tells them apart."""

CHUNKS_BEFORE_MIDSTREAM = 20


class Moment(StrEnum):
    """Of one call to the provider."""

    ARRIVAL = "arrival"
    MIDSTREAM = "midstream"
    ANSWERED = "answered"
    """All bytes of the answer have been handed to the kernel."""


class ChaosProvider:
    """Answers after up to `longest_pause_s`, in one go or a word at a time, with a second pause amid the words."""

    def __init__(self, generator: random.Random, longest_pause_s: float) -> None:
        self.calls: Counter[str] = Counter()
        """Calls that have arrived, by idempotency key."""
        self._longest_pause_s = longest_pause_s
        self._random = generator
        self._numbers = itertools.count(1)
        self._trap: tuple[Moment, Callable[[], None]] | None = None
        self._until_sprung = 0
        self.sprung = asyncio.Event()

    def arm(self, moment: Moment, action: Callable[[], None], *, at_call: int = 1) -> None:
        """Run `action` once: at this moment of the first call that comes to it, or the second, and so on."""
        self._trap, self._until_sprung = (moment, action), at_call
        self.sprung.clear()

    def disarm(self) -> None:
        self._trap = None

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        self.calls[_key_of(body)] += 1
        self._reached(Moment.ARRIVAL)
        await asyncio.sleep(self._random.uniform(0, self._longest_pause_s))
        identity = f"chatcmpl-chaos-{next(self._numbers)}"
        # The caller may be dead by now: that is the point. Its attempt is the ledger's to account for.
        with contextlib.suppress(ConnectionResetError):
            return await (self._stream if body.get("stream") else self._whole)(request, identity, body)
        return web.Response()

    async def _whole(self, request: web.Request, identity: str, body: dict[str, Any]) -> web.StreamResponse:
        content = orjson.dumps(completion(identity, body))
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(content))})
        await response.prepare(request)
        await response.write(content)
        await response.write_eof()
        self._reached(Moment.ANSWERED)
        return response

    async def _stream(self, request: web.Request, identity: str, body: dict[str, Any]) -> web.StreamResponse:
        response = await open_stream(request)
        for number, chunk in enumerate(chunks(identity, body)):
            if number == CHUNKS_BEFORE_MIDSTREAM:
                await asyncio.sleep(self._random.uniform(0, self._longest_pause_s))
                self._reached(Moment.MIDSTREAM)
            await response.write(event(chunk))
        await close_stream(response)
        self._reached(Moment.ANSWERED)
        return response

    def _reached(self, moment: Moment) -> None:
        if self._trap is None or self._trap[0] is not moment:
            return
        self._until_sprung -= 1
        if self._until_sprung == 0:
            action, self._trap = self._trap[1], None
            action()
            self.sprung.set()


def _key_of(body: dict[str, Any]) -> str:
    found = KEY.search(str(body["messages"][-1]["content"]))
    return found.group() if found else "unknown"


@asynccontextmanager
async def serving(provider: ChaosProvider) -> AsyncIterator[str]:
    """Serves it on a free port; yields its base URL."""
    runner = web.AppRunner(provider_app(provider.chat), access_log=None, handler_cancellation=False)
    await runner.setup()
    port = free_port()
    try:
        await web.TCPSite(runner, HOST, port).start()
        yield f"http://{HOST}:{port}/v1"
    finally:
        await runner.cleanup()
