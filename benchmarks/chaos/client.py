"""A client that means to have its answer: it asks again, with the same Idempotency-Key, until there is an end."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from enum import StrEnum

import aiohttp
import orjson

from benchmarks.http_load import streamed_text, whole_text
from benchmarks.stack import API_KEY
from benchmarks.wire import ANSWER, MODEL, request_body

PAUSE_S = 0.25
"""Between two tries."""

TRY_TIMEOUT_S = 45.0
"""One try. After a crash another worker takes over when a workflow task has timed out, 10 s; twice that happens."""

INVOCATION_ID = "x-customhouse-invocation-id"


class Fate(StrEnum):
    """How it ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    """Explicitly: the invocation has ended without an answer, and says why."""
    WRONG = "wrong"
    """Answered with another text than the provider's."""
    LOST = "lost"
    """No end within the client's patience."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One invocation that somebody wants."""

    key: str
    prompt: str
    stream: bool


@dataclass(frozen=True, slots=True)
class End:
    """What one invocation came to for its client."""

    key: str
    fate: Fate
    detail: str
    tries: int
    invocation_id: str | None = None


class _Again(Exception):
    """This try told nothing; ask again."""


class Client:
    """Asks on behalf of all clients."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self._session = session
        self._url = f"{base_url}/chat/completions"

    async def pursue(self, ask: Ask, patience_s: float) -> End:
        """Ask until the invocation has ended, for at most about `patience_s`."""
        deadline, tries, last = time.monotonic() + patience_s, 0, "never tried"
        while time.monotonic() < deadline:
            tries += 1
            try:
                return await self._ask_once(ask, tries)
            except _Again as reason:
                last = str(reason)
            except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
                last = repr(error)
            await asyncio.sleep(PAUSE_S)
        return End(ask.key, Fate.LOST, last, tries)

    async def _ask_once(self, ask: Ask, tries: int) -> End:
        body = orjson.dumps(request_body(ask.prompt, MODEL, stream=ask.stream))
        headers = {
            "Authorization": f"Bearer {API_KEY}",
            "Content-Type": "application/json",
            "Idempotency-Key": ask.key,
        }
        timeout = aiohttp.ClientTimeout(total=TRY_TIMEOUT_S)
        async with self._session.post(self._url, data=body, headers=headers, timeout=timeout) as response:
            received = await response.read()
            status, invocation_id = response.status, response.headers.get(INVOCATION_ID)
        if status == 200:
            text = _text_of_stream(received) if ask.stream else whole_text(received)
            return End(ask.key, Fate.COMPLETED if text == ANSWER else Fate.WRONG, text[:100], tries, invocation_id)
        detail = f"HTTP {status}: {received[:300].decode('utf-8', 'replace')}"
        if invocation_id is None and (status >= 500 or status == 429):
            raise _Again(detail)  # nothing has ended: the stack, not the invocation, has failed
        return End(ask.key, Fate.FAILED, detail, tries, invocation_id)


def _text_of_stream(received: bytes) -> str:
    """Raises _Again for a stream that ended early; its client asks again, as the error's text advises."""
    for line in received.split(b"\n"):
        if line.startswith(b'data: {"error"'):
            raise _Again(line.decode("utf-8", "replace"))
    text = streamed_text(received)
    if not text:
        raise _Again(f"the stream ended after {len(received)} bytes without [DONE]")
    return text
