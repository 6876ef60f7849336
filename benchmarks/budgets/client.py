"""A client that asks until its budget is spent: where calls in flight hold the room, it waits and asks anew."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from enum import StrEnum

import aiohttp
import orjson

from benchmarks.chaos.client import INVOCATION_ID, PAUSE_S, TRY_TIMEOUT_S
from benchmarks.stack import API_KEY
from benchmarks.wire import MODEL, request_body

MAX_TOKENS = 60
"""The mock's answers have 55."""


class Fate(StrEnum):
    """How it ended for one client."""

    ANSWERED = "answered"
    SPENT = "budget spent"
    """402: the budget itself has no room for the call."""
    LOST = "no end"


@dataclass(frozen=True, slots=True)
class End:
    fate: Fate
    tries: int
    waits: int
    """429s, since calls in flight held the room."""
    failures: int
    """Calls that ended without an answer and without a word of budgets."""
    detail: str = ""


class Client:
    """Asks on behalf of all clients."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, run: str) -> None:
        """`run`: a word in letters, of which its idempotency keys are made."""
        self._session = session
        self._url = f"{base_url}/chat/completions"
        self._run = run

    async def pursue(self, name: str, prompt: str, patience_s: float) -> End:
        """One call, with one key, until it has ended; then another, where it failed or was told to come again."""
        deadline, last = time.monotonic() + patience_s, "never tried"
        tries = waits = failures = 0
        while time.monotonic() < deadline:
            tries += 1
            pause = PAUSE_S
            try:
                status, invocation, wait_s, text = await self._ask(
                    f"chaos-{self._run}-{name}{'x' * (waits + failures)}", prompt
                )
            except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
                last = repr(error)
            else:
                last = f"HTTP {status}: {text[:300]}"
                if status == 200:
                    return End(Fate.ANSWERED, tries, waits, failures)
                if status == 402:
                    return End(Fate.SPENT, tries, waits, failures)
                if status == 429 and '"budget_reserved"' in text:
                    waits, pause = waits + 1, wait_s
                elif invocation is not None:  # an explicit end: a kill too many, say. Another call, with another key
                    failures += 1
            await asyncio.sleep(pause)
        return End(Fate.LOST, tries, waits, failures, last)

    async def _ask(self, key: str, prompt: str) -> tuple[int, str | None, float, str]:
        """Status, the invocation if there was one, seconds to wait, and the body."""
        body = request_body(f"{key} {prompt}", MODEL, stream=False) | {"max_tokens": MAX_TOKENS}
        headers = {
            "Authorization": f"Bearer {API_KEY}",
            "Content-Type": "application/json",
            "Idempotency-Key": key,
        }
        timeout = aiohttp.ClientTimeout(total=TRY_TIMEOUT_S)
        async with self._session.post(self._url, data=orjson.dumps(body), headers=headers, timeout=timeout) as response:
            text = (await response.read()).decode("utf-8", "replace")
            wait_s = float(response.headers.get("retry-after", PAUSE_S))
            return response.status, response.headers.get(INVOCATION_ID), wait_s, text
