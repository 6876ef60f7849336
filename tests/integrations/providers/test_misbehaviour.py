"""Error statuses and broken connections, each from a real server."""

from __future__ import annotations

import asyncio
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from aiohttp import web

from customhouse.contracts.catalog import Provider
from customhouse.contracts.errors import FailureKind
from customhouse.integrations.providers.base import ChatProvider
from customhouse.integrations.providers.openai import OpenAIProvider
from tests.integrations.providers import wire_openai
from tests.integrations.providers.calling import failure_of
from tests.integrations.providers.conftest import KEY, MakeCall
from tests.integrations.providers.server import Upstream, hang, reset, sse

RETRYABLE, REROUTABLE, TERMINAL = FailureKind.RETRYABLE, FailureKind.REROUTABLE, FailureKind.TERMINAL


class TestStatuses:
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            *((status, RETRYABLE) for status in (408, 409, 429, 500, 502, 503, 529)),
            *((status, REROUTABLE) for status in (307, 404, 413)),
            *((status, TERMINAL) for status in (400, 401, 403, 422)),
        ],
    )
    async def test_kind(
        self,
        upstream: Upstream,
        provider: ChatProvider,
        make_call: MakeCall,
        stream: bool,
        status: int,
        kind: FailureKind,
    ) -> None:
        upstream.answers({"error": {"message": "Something is off.", "type": "a_type", "code": None}}, status=status)
        failure = await failure_of(provider, make_call(stream=stream))
        assert (failure.kind, failure.provider_status, failure.provider_code) == (kind, status, "a_type")
        assert "Something is off." in failure.message
        assert len(upstream.seen) == 1

    async def test_redirects_are_not_followed(
        self, upstream: Upstream, provider: ChatProvider, make_call: MakeCall
    ) -> None:
        upstream.answers("", status=307, headers={"Location": f"{upstream.url}/elsewhere"})
        failure = await failure_of(provider, make_call())
        assert "base_url" in failure.message
        assert len(upstream.seen) == 1

    @pytest.mark.parametrize(
        ("headers", "low", "high"),
        [
            ({"Retry-After": "7"}, 7, 7),
            ({"retry-after-ms": "1500", "Retry-After": "2"}, 1.5, 1.5),
            ({"Retry-After": format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)}, 1, 3600),
        ],
    )
    async def test_retry_after(
        self,
        upstream: Upstream,
        provider: ChatProvider,
        make_call: MakeCall,
        headers: dict[str, str],
        low: float,
        high: float,
    ) -> None:
        upstream.answers({"error": {"message": "Slow down."}}, status=429, headers=headers)
        failure = await failure_of(provider, make_call())
        assert failure.retry_after_s is not None
        assert low <= failure.retry_after_s <= high

    async def test_a_html_error_page(
        self, upstream: Upstream, provider: ChatProvider, make_call: MakeCall, stream: bool
    ) -> None:
        upstream.answers("<html><h1>Bad gateway</h1></html>", status=502)
        failure = await failure_of(provider, make_call(stream=stream))
        assert (failure.kind, failure.provider_status) == (RETRYABLE, 502)
        assert "text/html" in failure.message
        assert "<h1>" not in failure.message

    async def test_a_status_whose_body_breaks_off_still_counts(
        self, upstream: Upstream, provider: ChatProvider, make_call: MakeCall
    ) -> None:
        async def handler(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(status=401, headers={"Content-Length": "1000"})
            await response.prepare(request)
            await response.write(b'{"error": ')
            return await reset(request)

        upstream.handler = handler
        failure = await failure_of(provider, make_call())
        assert (failure.kind, failure.provider_status) == (TERMINAL, 401)

    async def test_neither_the_key_nor_the_prompt_gets_into_the_message(
        self, upstream: Upstream, provider: ChatProvider, make_call: MakeCall
    ) -> None:
        prompt = "My account number is 4711-0815 and nobody must know of it."
        upstream.answers({"error": {"message": f"Bad key {KEY} for input '{prompt}' {'x' * 2000}"}}, status=400)
        failure = await failure_of(provider, make_call(messages=[{"role": "user", "content": prompt}]))
        assert KEY not in failure.message
        assert "4711" not in failure.message
        assert "[key]" in failure.message
        assert "[prompt]" in failure.message
        assert len(failure.message) < 700


class TestConnection:
    async def test_nobody_listens(self, http_client: httpx.AsyncClient, make_call: MakeCall) -> None:
        with socket.socket() as taken:  # bound but not listening: connecting is refused
            taken.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
            config = Provider.model_validate({"name": "acme", "kind": "openai", "base_url": url})
            failure = await failure_of(OpenAIProvider(config, None, http_client), make_call())
        assert (failure.kind, failure.provider_code) == (RETRYABLE, "connection_failed")
        assert failure.provider_status is None

    async def test_plain_http_where_tls_is_expected(
        self, upstream: Upstream, http_client: httpx.AsyncClient, make_call: MakeCall
    ) -> None:
        url = upstream.url.replace("http://", "https://")
        config = Provider.model_validate({"name": "acme", "kind": "openai", "base_url": url})
        failure = await failure_of(OpenAIProvider(config, None, http_client), make_call())
        assert failure.kind is RETRYABLE
        assert failure.provider_code == "connection_failed"

    async def test_reset_before_the_answer(
        self, upstream: Upstream, provider: ChatProvider, make_call: MakeCall, stream: bool
    ) -> None:
        upstream.handler = reset
        failure = await failure_of(provider, make_call(stream=stream))
        assert (failure.kind, failure.provider_code) == (RETRYABLE, "connection_reset")

    async def test_reset_amid_the_stream(
        self, upstream: Upstream, openai_provider: ChatProvider, make_call: MakeCall
    ) -> None:
        upstream.streams(sse(wire_openai.chunk({"content": "Hel"})), then=reset)
        failure = await failure_of(openai_provider, make_call(stream=True))
        assert (failure.kind, failure.provider_code) == (RETRYABLE, "connection_reset")

    async def test_silence(self, upstream: Upstream, provider: ChatProvider, make_call: MakeCall, stream: bool) -> None:
        upstream.handler = hang
        failure = await failure_of(provider, make_call(stream=stream, timeout_s=0.05))
        assert (failure.kind, failure.provider_code) == (RETRYABLE, "timeout")
        assert "0.05 s" in failure.message
        async with asyncio.timeout(5):
            await upstream.hung_up.wait()

    async def test_a_slow_drip_does_not_outlast_the_deadline(
        self, upstream: Upstream, openai_provider: ChatProvider, make_call: MakeCall
    ) -> None:
        async def drip(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            while True:
                await response.write(sse(wire_openai.chunk({"content": "."}))[0])
                await asyncio.sleep(0.01)

        upstream.handler = drip
        failure = await failure_of(openai_provider, make_call(stream=True, timeout_s=0.1))
        assert (failure.kind, failure.provider_code) == (RETRYABLE, "timeout")
