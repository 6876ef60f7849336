"""A process that is being stopped tells the callers whose answers it will not live to bring."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import pytest

from api.sse import EventStream
from api.stopping import told_when_stopped
from customhouse.contracts.errors import NotReady

FAREWELL = b"data: farewell\n\n"


async def test_a_caller_who_waits_gets_an_error_that_can_be_retried() -> None:
    async def wait() -> None:
        with told_when_stopped():
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(NotReady, match="Idempotency-Key") as raised:
        await waiting
    assert raised.value.retry_after_s == 1


@pytest.mark.parametrize("hangs_up", [False, True])
async def test_a_stream_ends_with_a_farewell_unless_its_reader_has_gone(*, hangs_up: bool) -> None:
    sent: list[MutableMapping[str, Any]] = []
    gone, begun, told = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        yield b"data: first\n\n"
        await asyncio.Event().wait()

    async def receive() -> MutableMapping[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)
        if message.get("body"):
            begun.set()

    stream = EventStream(source(), {}, farewell=FAREWELL, on_hang_up=told.set)
    serving = asyncio.create_task(stream({"type": "http"}, receive, send))
    await begun.wait()
    if hangs_up:
        gone.set()
    else:
        serving.cancel()
    await serving
    assert told.is_set() is hangs_up
    assert (sent[-1]["body"] == FAREWELL) is not hangs_up
