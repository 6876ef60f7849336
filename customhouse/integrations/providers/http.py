"""The one pooled HTTP client through which every provider is called."""

from __future__ import annotations

from http.cookiejar import CookieJar, DefaultCookiePolicy
from urllib.request import getproxies

import httpx

from customhouse.contracts import timing
from customhouse.integrations.providers.aiohttp_transport import AiohttpTransport

MAX_CONNECTIONS = 1000
"""Over all providers. A stream holds its connection for as long as the model talks."""

MAX_IDLE_CONNECTIONS = 100

IDLE_EXPIRY_S = 60.0
"""A kept connection saves TCP and TLS round trips. If the provider closed it meanwhile, that is noticed before its
reuse."""

TIMEOUT = httpx.Timeout(None, connect=timing.CONNECT_TIMEOUT_S)
"""Only the connect has its own limit: a read may rightly take as long as the whole call, whose deadline the exchange
keeps."""

_LOOPBACK = ("all://localhost", "all://127.0.0.1", "all://[::1]")


def provider_http_client() -> httpx.AsyncClient:
    """Make the client; its owner closes it (`aclose`).

    The environment's HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE are obeyed, because in many companies a provider is
    reached in no other way; they are read here, once. A model on this machine is always called directly. Redirects are
    not followed, as they would carry the key to wherever they point; cookies are refused, as they would tie one
    organization's call to another's.

    Where no proxy stands between, connections are aiohttp's (`aiohttp_transport.py` says why).
    """
    direct = AiohttpTransport(
        ssl_context=httpx.create_ssl_context(),
        connect_timeout_s=timing.CONNECT_TIMEOUT_S,
        max_connections=MAX_CONNECTIONS,
        idle_expiry_s=IDLE_EXPIRY_S,
    )
    # Patterns that the environment adds for its proxies are narrower than "all://", but for ALL_PROXY's own.
    patterns = _LOOPBACK if "all" in getproxies() else (*_LOOPBACK, "all://")
    return httpx.AsyncClient(
        timeout=TIMEOUT,
        limits=httpx.Limits(
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=MAX_IDLE_CONNECTIONS,
            keepalive_expiry=IDLE_EXPIRY_S,
        ),
        cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
        follow_redirects=False,
        trust_env=True,
        mounts=dict.fromkeys(patterns, direct),
    )
