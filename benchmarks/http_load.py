"""Chat completions as load: `python -m benchmarks.http_load BASE_URL API_KEY MODEL whole|stream [benign]`.

Prompts are a hundred random words or, for `benign`, of sentences as people send them.
"""

from __future__ import annotations

import random
import re
import sys
import time
from collections.abc import Callable

import aiohttp
import orjson
import uvloop

from benchmarks.benign import benign_prompt
from benchmarks.jobs import Sample, Unanswered, serve_jobs
from benchmarks.wire import ANSWER, request_body, unique_prompt

REQUEST_TIMEOUT_S = 30.0

_CONTENT = re.compile(rb'"content": ?"[^"]')
"""The first piece of content in a stream, found without parsing: parsing waits until the clock has stopped."""


class ChatCaller:
    """Sends one chat request at a call, over pooled connections, and checks its answer."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base_url: str,
        api_key: str,
        model: str,
        *,
        stream: bool,
        prompt: Callable[[random.Random], str] = unique_prompt,
    ) -> None:
        self._session = session
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}
        self._model = model
        self._stream = stream
        self._prompt = prompt
        self._prompts = random.Random()

    async def __call__(self) -> Sample:
        """Raises Unanswered."""
        body = orjson.dumps(request_body(self._prompt(self._prompts), self._model, stream=self._stream))
        first, received = None, bytearray()
        began = time.perf_counter()
        try:
            async with self._session.post(self._url, data=body, headers=self._headers) as response:
                async for part in response.content.iter_any():
                    received += part
                    if first is None and self._stream and _CONTENT.search(received):
                        first = time.perf_counter() - began
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unanswered(repr(error)) from error
        total = time.perf_counter() - began
        text = "" if response.status != 200 else streamed_text(received) if self._stream else whole_text(received)
        if text != ANSWER:
            raise Unanswered(f"HTTP {response.status}: {received[:300].decode('utf-8', 'replace')}")
        return Sample(first or total, total)


def whole_text(body: bytes | bytearray) -> str:
    return str(orjson.loads(body)["choices"][0]["message"]["content"])


def streamed_text(body: bytes | bytearray) -> str:
    """The text of a complete stream; empty where it ends without [DONE] or without usage."""
    events = [line[6:] for line in bytes(body).split(b"\n") if line.startswith(b"data: ")]
    if not events or events[-1] != b"[DONE]":
        return ""
    parsed = [orjson.loads(event) for event in events[:-1]]
    if not any(chunk.get("usage") for chunk in parsed):
        return ""
    return "".join(choice["delta"].get("content") or "" for chunk in parsed for choice in chunk.get("choices", ()))


async def main(base_url: str, api_key: str, model: str, manner: str, prompts: str = "random") -> None:
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        prompt = benign_prompt if prompts == "benign" else unique_prompt
        await serve_jobs(ChatCaller(session, base_url, api_key, model, stream=manner == "stream", prompt=prompt))


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:6]))
