"""One HTTP exchange with a provider: what both wire formats have in common.

Here, and only here, transport failures become `ProviderError`s, and the call's deadline is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson

from customhouse.contracts.catalog import Provider
from customhouse.contracts.chat import Json
from customhouse.contracts.errors import FailureKind, ProviderError
from customhouse.integrations.providers.base import ProviderCall
from customhouse.integrations.providers.failures import Breakage, Called, ErrorAnswer, ErrorEvent, sort_failure
from customhouse.integrations.providers.http import TIMEOUT
from customhouse.integrations.providers.sse import EventParser, ServerSentEvent

MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""Guards our memory. The largest rightful answers, generated audio and images as base64, are a tenth of it."""

MAX_ERROR_BYTES = 64 * 1024
"""As much of an error's body as is read: its message is shortened to far less."""

END_GRACE_S = 0.05
"""How long to wait for the end of a body after its last event. The end usually comes along with it and frees the
connection for the next call; a server that keeps the body open does not hold up the answer."""

_EXTENSIONS = {"timeout": TIMEOUT.as_dict()}


class Exchange:
    """An answer whose status and headers have come, and whose body is still to be read."""

    def __init__(self, called: Called, response: httpx.Response, deadline: float) -> None:
        self._called = called
        self._response = response
        self._deadline = deadline
        self._reads: AsyncGenerator[bytes, None] = response.aiter_bytes()  # type: ignore[assignment]  # it is one

    async def json(self) -> Json:
        """The whole body, which must be one JSON object, and no error object."""
        pieces: list[bytes] = []
        size = 0
        while (piece := await self._read()) is not None:
            pieces.append(piece)
            size += len(piece)
            self._check_size(size)
        return self.parse(b"".join(pieces))

    async def events(self) -> AsyncGenerator[ServerSentEvent, None]:
        """The body's events, as they arrive."""
        if "text/event-stream" not in self._content_type:
            detail = f"answered a request for a stream with {self._content_type}; if it cannot stream, take `streaming`"
            raise self.broken(
                Breakage("not_a_stream", f"{detail} out of its capabilities in the catalog", FailureKind.REROUTABLE)
                if "json" in self._content_type
                else Breakage("not_a_stream", f"answered a request for a stream with {self._content_type}")
            )
        parser = EventParser()
        while (piece := await self._read()) is not None:
            for event in parser.feed(piece):
                yield event
            self._check_size(parser.pending_bytes)
        for event in parser.close():
            yield event

    async def error_answer(self) -> ErrorAnswer:
        """What an answer whose status is not 2xx says."""
        body = b""
        try:
            while len(body) < MAX_ERROR_BYTES and (piece := await self._read()) is not None:
                body += piece
        except (httpx.HTTPError, TimeoutError):
            pass  # its status has come already, and tells more than the broken connection does
        return ErrorAnswer(self._response.status_code, self._response.headers, body)

    async def finish(self) -> None:
        """Read what follows the last event, so that the connection can be used again."""
        try:
            async with asyncio.timeout(END_GRACE_S):
                async for _ in self._reads:
                    pass
        except (TimeoutError, httpx.HTTPError):
            return  # the answer is whole; only the connection is lost, and it is closed with the exchange

    def parse(self, data: bytes) -> Json:
        try:
            parsed = orjson.loads(data)
        except orjson.JSONDecodeError:
            raise self.broken(
                Breakage("malformed_answer", self._not_json(data))
            ) from None  # its text quotes the answer
        if not isinstance(parsed, dict):
            raise self.broken(
                Breakage("malformed_answer", f"sent JSON that is no object but a {type(parsed).__name__}")
            )
        return parsed

    def broken(self, breakage: Breakage) -> ProviderError:
        return sort_failure(self._called, breakage)

    def refused(self, error: Any) -> ProviderError:
        """For an error object in an answer with status 200."""
        return sort_failure(self._called, ErrorEvent(error))

    async def close(self) -> None:
        await self._reads.aclose()
        await self._response.aclose()

    async def _read(self) -> bytes | None:
        # The deadline is set anew around each read. One timeout around the whole generator would also fire while the
        # consumer, not we, has control, and would then cancel the consumer instead of raising here.
        async with asyncio.timeout_at(self._deadline):
            return await anext(self._reads, None)

    def _check_size(self, size: int) -> None:
        if size > MAX_ANSWER_BYTES:
            limit = f"sent more than {MAX_ANSWER_BYTES // 2**20} MiB in one answer or event"
            raise self.broken(Breakage("answer_too_large", limit, FailureKind.TERMINAL))

    def _not_json(self, data: bytes) -> str:
        if not data.strip():
            return "answered with an empty body"
        if "json" not in self._content_type and "event-stream" not in self._content_type:
            return f"answered with {self._content_type} instead of JSON; a proxy may stand between"
        return "sent JSON that is malformed or cut off"

    @property
    def _content_type(self) -> str:
        return str(self._response.headers.get("content-type", "no content type")).partition(";")[0]


class Endpoint:
    """One URL of one provider, with all that stays the same from call to call made once."""

    def __init__(
        self, provider: Provider, path: str, headers: Mapping[str, str], secret: str | None, client: httpx.AsyncClient
    ) -> None:
        base = httpx.URL(str(provider.base_url))
        self._url = base.copy_with(path=base.path.rstrip("/") + path)  # keeps a query such as Azure's api-version
        # Uncompressed, because a compressing proxy holds stream events back until it has a block full.
        always = {"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "customhouse"}
        self._headers = httpx.Headers({**always, "Accept": "application/json", **headers})
        self._stream_headers = httpx.Headers({**always, "Accept": "text/event-stream", **headers})
        self._provider = provider
        self._secret = secret
        self._client = client

    @asynccontextmanager
    async def open(self, call: ProviderCall, body: Json) -> AsyncIterator[Exchange]:
        """Send the request; the exchange within has a 2xx answer. Leaving it, by whatever way, frees the connection."""
        called = Called(
            provider=self._provider.name,
            model=call.deployment.name_at_provider,
            timeout_s=call.timeout_s,
            key_env=self._provider.api_key_env,
            secret=self._secret,
            request=call.request,
        )
        deadline = asyncio.get_running_loop().time() + call.timeout_s
        try:
            async with asyncio.timeout_at(deadline):
                response = await self._client.send(self._request(body, stream=call.stream), stream=True)
            exchange = Exchange(called, response, deadline)
            try:
                if not response.is_success:
                    raise sort_failure(called, await exchange.error_answer())
                yield exchange
            finally:
                await exchange.close()
        # TimeoutError is an OSError; host names that cannot be looked up may raise a UnicodeError.
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            raise sort_failure(called, error) from error

    def _request(self, body: Json, *, stream: bool) -> httpx.Request:
        try:
            content = orjson.dumps(body)
        except TypeError:
            raise ProviderError(
                "The request holds text that is not valid Unicode (a lone surrogate) or is nested too deeply for JSON.",
                kind=FailureKind.TERMINAL,
                provider_code="unsendable_request",
            ) from None
        headers = self._stream_headers if stream else self._headers
        return httpx.Request("POST", self._url, headers=headers, content=content, extensions=_EXTENSIONS)
