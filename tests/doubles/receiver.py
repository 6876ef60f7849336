"""A webhook that alerts are sent to: apprise's `json://` posts to it. It can refuse, hang, and go away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class Receiver:
    """What has come, and how the next ones are answered."""

    port: int
    taken: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0
    refused: int = 0
    statuses: list[int] = field(default_factory=list)
    """Of the next answers; 200 once they are used up."""
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """Requests wait for it. Set, unless a test clears it."""

    def url(self, path: str = "") -> str:
        return f"json://127.0.0.1:{self.port}/{path}"

    @property
    def titles(self) -> list[str]:
        return [each["title"] for each in self.taken]

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.asked += 1
        await self.gate.wait()
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            self.taken.append({**body, "path": request.path})
        else:
            self.refused += 1
        return web.Response(status=status)


@asynccontextmanager
async def running_receiver(port: int = 0) -> AsyncIterator[Receiver]:
    receiver = Receiver(port)
    receiver.gate.set()
    app = web.Application()
    app.router.add_post("/{tail:.*}", receiver.handle)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        receiver.gate.set()
        await runner.cleanup()
