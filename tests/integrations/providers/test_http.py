"""The client itself: proxies, certificates."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from customhouse.contracts.catalog import Provider
from customhouse.contracts.errors import FailureKind
from customhouse.integrations.providers.http import provider_http_client
from customhouse.integrations.providers.openai import OpenAIProvider
from tests.integrations.providers import wire_openai as wire
from tests.integrations.providers.calling import answer_of, failure_of
from tests.integrations.providers.conftest import MakeCall
from tests.integrations.providers.server import Upstream, running_upstream


def at(base_url: str, client: httpx.AsyncClient) -> OpenAIProvider:
    config = {"name": "acme", "kind": "openai", "base_url": base_url}
    return OpenAIProvider(Provider.model_validate(config), None, client)


async def test_a_proxy_is_used_for_the_world_but_not_for_this_machine(
    upstream: Upstream, make_call: MakeCall, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    upstream.answers(wire.whole())
    async with running_upstream() as proxy:
        proxy.answers(wire.whole())
        monkeypatch.setenv("http_proxy", proxy.url)
        async with provider_http_client() as client:
            await answer_of(at("http://provider.example/v1", client), make_call())
            await answer_of(at(f"{upstream.url}/v1", client), make_call())
        assert [seen.headers["host"] for seen in proxy.seen] == ["provider.example"]
    assert len(upstream.seen) == 1


@pytest.fixture
async def tls_server(tmp_path: Path) -> AsyncIterator[tuple[str, Path]]:
    """URL of a server with a certificate of its own making, and the certificate's file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    certificate_file, both = tmp_path / "certificate.pem", tmp_path / "both.pem"
    certificate_file.write_bytes(pem)
    both.write_bytes(pem + secret)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(both)

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(wire.whole())

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield f"https://127.0.0.1:{runner.addresses[0][1]}/v1", certificate_file
    finally:
        await runner.cleanup()


async def test_an_untrusted_certificate(
    tls_server: tuple[str, Path], http_client: httpx.AsyncClient, make_call: MakeCall
) -> None:
    failure = await failure_of(at(tls_server[0], http_client), make_call())
    assert (failure.kind, failure.provider_code) == (FailureKind.REROUTABLE, "bad_certificate")
    assert "SSL_CERT_FILE" in failure.message


async def test_an_own_authority(
    tls_server: tuple[str, Path], make_call: MakeCall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tls_server[1]))
    async with provider_http_client() as client:
        _, answer = await answer_of(at(tls_server[0], client), make_call())
    assert answer.choices[0].message["content"] == "Hello there."
