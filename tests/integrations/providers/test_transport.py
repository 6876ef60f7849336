"""The aiohttp transport below httpx: what it passes on, and what becomes of its failures."""

from __future__ import annotations

import asyncio
import gzip
import os

import httpx
import pytest
from aiohttp import web

from customhouse.integrations.providers.http import provider_http_client
from tests.integrations.providers.server import Upstream
from workers.embedded.ports import free_port


async def test_headers_come_and_go_as_they_are(upstream: Upstream, http_client: httpx.AsyncClient) -> None:
    upstream.answers({}, headers={"X-Long": "x" * 20_000, "Retry-After": "7"})
    sent = httpx.Request("POST", f"{upstream.url}/a%2Fb?api-version=1", headers={"X-Mine": "1"}, content=b"{}")
    response = await http_client.send(sent)
    assert (len(response.headers["x-long"]), response.headers["retry-after"]) == (20_000, "7")
    seen = upstream.seen[0].headers
    assert seen["x-mine"] == "1"
    assert "accept" not in seen
    assert "user-agent" not in seen


async def test_a_compressed_answer_is_decoded_once(upstream: Upstream, http_client: httpx.AsyncClient) -> None:
    async def compressed(_: web.Request) -> web.Response:
        return web.Response(body=gzip.compress(b'{"a": 1}'), headers={"Content-Encoding": "gzip"})

    upstream.handler = compressed
    assert (await http_client.post(upstream.url, json={})).json() == {"a": 1}


async def test_a_closed_port_is_a_connect_error(http_client: httpx.AsyncClient) -> None:
    with pytest.raises(httpx.ConnectError):
        await http_client.post(f"http://127.0.0.1:{free_port()}", json={})


@pytest.mark.parametrize(
    "answer", [b"", b"no HTTP at all\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"]
)
async def test_a_broken_answer_is_a_protocol_error(answer: bytes, http_client: httpx.AsyncClient) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await http_client.get(f"http://127.0.0.1:{port}/")


async def test_with_a_proxy_for_everything_only_this_machine_is_called_directly(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("all_proxy", f"http://127.0.0.1:{free_port()}")
    upstream.answers({})
    async with provider_http_client() as client:
        assert (await client.post(upstream.url, json={})).status_code == 200
        with pytest.raises(httpx.ConnectError):
            await client.post("http://provider.example/", json={})
