"""Walks every route of the application with keys that must not get through. A new route has to be entered here."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import httpx
import psycopg
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.routing import Route
from temporalio.service import RPCError, RPCStatusCode

from api.app import create_app
from api.auth import Authenticator
from customhouse.contracts.chat import Json
from customhouse.contracts.errors import Unauthenticated
from customhouse.storage.keys import Keys, Principal, Refusal, Role
from tests.doubles.house import House, Tenant

HELLO: Any = [{"role": "user", "content": "Say hello."}]

Access = Literal["open", "member", "operator"]
Foreign = Literal[
    "own only", "nothing of others", "lists nothing", "not found", "forbidden", "is not bound", "changes own"
]

OPEN_ROUTES = {
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    # A browser asks without a key before it asks with one.
    ("GET", "/api/v1/codec/session"),
    ("POST", "/api/v1/codec/session"),
    ("OPTIONS", "/api/v1/codec/decode"),
    ("OPTIONS", "/api/v1/codec/encode"),
}

CHAT: Json = {"model": "solo", "messages": HELLO}

BUDGET: Json = {"name": "all", "scope": "organization", "period": "month", "amount_usd": "1000"}

ROUTES: dict[tuple[str, str], tuple[Access, Foreign, Json | None]] = {
    ("POST", "/v1/chat/completions"): ("member", "own only", CHAT),
    ("GET", "/v1/models"): ("member", "is not bound", None),
    ("GET", "/v1/models/{model:path}"): ("member", "is not bound", None),
    ("POST", "/api/v1/invocations"): ("member", "own only", {"request": CHAT}),
    ("GET", "/api/v1/invocations"): ("member", "nothing of others", None),
    ("GET", "/api/v1/invocations/{invocation_id}"): ("member", "not found", None),
    ("GET", "/api/v1/invocations/{invocation_id}/stream"): ("member", "not found", None),
    ("POST", "/api/v1/invocations/{invocation_id}/cancel"): ("member", "not found", None),
    ("GET", "/api/v1/cost-logs"): ("member", "nothing of others", None),
    ("GET", "/api/v1/similarity-logs"): ("member", "lists nothing", None),
    ("GET", "/api/v1/similarity-logs/savings"): ("member", "is not bound", None),
    ("GET", "/api/v1/alerts"): ("operator", "lists nothing", None),
    ("GET", "/api/v1/alerts/{alert_id}"): ("operator", "not found", None),
    ("POST", "/api/v1/alerts/{alert_id}/acknowledge"): ("operator", "not found", None),
    ("POST", "/api/v1/alerts/{alert_id}/close"): ("operator", "not found", None),
    ("GET", "/api/v1/feedback"): ("member", "lists nothing", None),
    ("POST", "/api/v1/feedback"): ("member", "not found", {"invocation_id": str(UUID(int=0)), "mark": "wrong"}),
    ("GET", "/api/v1/limits"): ("member", "lists nothing", None),
    ("PUT", "/api/v1/limits"): ("operator", "changes own", {"scope": "organization", "requests": 1000}),
    ("DELETE", "/api/v1/limits/{limit_id}"): ("operator", "not found", None),
    ("GET", "/api/v1/blocks"): ("operator", "lists nothing", None),
    ("POST", "/api/v1/blocks"): ("operator", "changes own", {"kind": "user", "subject": "u", "reason": "a test"}),
    ("DELETE", "/api/v1/blocks/{block_id}"): ("operator", "not found", None),
    ("GET", "/api/v1/budgets"): ("member", "lists nothing", None),
    ("POST", "/api/v1/budgets"): ("operator", "changes own", BUDGET),
    ("GET", "/api/v1/budgets/{budget_id}"): ("member", "not found", None),
    ("PATCH", "/api/v1/budgets/{budget_id}"): ("operator", "not found", {"hard": False}),
    ("DELETE", "/api/v1/budgets/{budget_id}"): ("operator", "not found", None),
    ("GET", "/openapi.json"): ("member", "is not bound", None),
    ("POST", "/api/v1/codec/decode"): ("operator", "forbidden", {"payloads": []}),
    ("POST", "/api/v1/codec/encode"): ("operator", "forbidden", {"payloads": []}),
}


def routes_of(owner: FastAPI | APIRouter) -> Iterator[tuple[str, str]]:
    for route in owner.routes:
        if isinstance(included := getattr(route, "original_router", None), APIRouter):
            yield from routes_of(included)
            continue
        assert isinstance(route, APIRoute | Route), f"{route} is of a kind that this walk does not know"
        for method in route.methods or set():
            if method != "HEAD":
                yield method, route.path


@pytest.fixture
async def theirs(house: House, tenant: Tenant) -> tuple[Tenant, UUID]:
    """Another organization with an invocation of its own."""
    other = await house.tenant()
    headers = {"idempotency-key": "theirs", "x-customhouse-agent": "their agent"}
    await other.http.post("/v1/chat/completions", json=CHAT, headers=headers)
    (row,) = await other.invocations()
    assert await tenant.invocations() == []
    return other, row["id"]


def url_of(path: str, invocation_id: UUID) -> str:
    ids = ("{invocation_id}", "{limit_id}", "{block_id}", "{alert_id}", "{budget_id}")
    for name in ids:
        path = path.replace(name, str(invocation_id))
    return path.replace("{model:path}", "solo")


def test_every_route_is_known(house: House) -> None:
    assert set(routes_of(house.app)) == set(ROUTES) | OPEN_ROUTES


@pytest.mark.parametrize(("method", "path"), sorted(ROUTES))
class TestWithout:
    async def ask(self, house: House, method: str, path: str, headers: dict[str, str]) -> httpx.Response:
        async with httpx.AsyncClient(base_url=house.url) as stranger:
            body = ROUTES[method, path][2]
            return await stranger.request(method, url_of(path, UUID(int=0)), json=body, headers=headers)

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"authorization": "Bearer"},
            {"authorization": "Bearer ck_wrong"},
            {"authorization": "Basic dXNlcjpwYXNz"},
            {"x-api-key": "ck_wrong"},
        ],
        ids=["none", "empty", "wrong", "basic", "x-api-key"],
    )
    async def test_a_good_key(self, house: House, method: str, path: str, headers: dict[str, str]) -> None:
        response = await self.ask(house, method, path, headers)
        assert response.status_code == 401, response.text
        assert response.headers["www-authenticate"].startswith("Bearer")

    async def test_one_that_is_good_still(self, house: House, tenant: Tenant, method: str, path: str) -> None:
        expired = await house.tenant(Role.ADMIN, of=tenant, expires_at=datetime.now(UTC) + timedelta(hours=1))
        await house.change(
            "UPDATE api_keys SET expires_at = now() - interval '1 second' WHERE id = :id", id=expired.key_id
        )
        revoked = await house.tenant(Role.ADMIN, of=tenant)
        await Keys(house.parts.engine).revoke(tenant.organization_id, revoked.key_id, actor="test")
        for key in (expired, revoked):
            assert (await self.ask(house, method, path, key.headers)).status_code == 401

    async def test_the_role(self, house: House, tenant: Tenant, method: str, path: str) -> None:
        access = ROUTES[method, path][0]
        response = await self.ask(house, method, path, tenant.headers)
        assert (response.status_code == 403) is (access == "operator"), response.text


@pytest.mark.parametrize(("method", "path"), sorted(ROUTES))
async def test_with_a_foreign_key(
    house: House, tenant: Tenant, theirs: tuple[Tenant, UUID], method: str, path: str
) -> None:
    """Not even an administrator of another organization sees anything, or learns that there is something."""
    other, invocation_id = theirs
    _, foreign, body = ROUTES[method, path]
    if body is not None and "invocation_id" in body:
        body = {**body, "invocation_id": str(invocation_id)}
    admin = await house.tenant(Role.ADMIN, of=tenant)
    before = await other.invocations()
    response = await admin.http.request(
        method, url_of(path, invocation_id), json=body, headers={"idempotency-key": "theirs"}
    )
    if foreign == "not found":
        assert response.status_code == 404
    elif foreign == "forbidden":
        assert response.status_code == 403
    elif foreign == "lists nothing":
        assert response.json() == {"data": [], "next": None}
    elif foreign == "nothing of others":
        assert response.json() == {"data": [], "next": None}
        for query in ({"agent_id": "their agent"}, {"model": "solo"}):
            assert (await admin.http.request(method, path, params=query)).json()["data"] == []
    elif foreign == "own only":
        assert response.status_code == 200
        assert "idempotent-replayed" not in response.headers
        assert response.headers["x-customhouse-invocation-id"] != str(invocation_id)
    assert await other.invocations() == before
    assert len(await other.costs()) == 1
    assert "their agent" not in response.text


async def test_sums_hold_nothing_of_others(tenant: Tenant, theirs: tuple[Tenant, UUID]) -> None:
    assert theirs[0].organization_id != tenant.organization_id
    response = await tenant.http.get("/api/v1/cost-logs", params={"group_by": "agent_id"})
    assert response.json() == {"data": [], "next": None}


async def test_readiness_tells_of_each_part(house: House) -> None:
    async with httpx.AsyncClient(base_url=house.url) as stranger:
        assert (await stranger.get("/healthz")).json() == {"status": "ok"}
        ready = await stranger.get("/readyz")
    assert ready.status_code == 200
    assert {name: part["status"] for name, part in ready.json()["parts"].items()} == {
        "database": "ok",
        "temporal": "ok",
        "worker": "ok",
    }


@pytest.mark.parametrize(
    ("breaks", "said"),
    [
        (psycopg.OperationalError('connection to server at "10.0.0.7" failed: No route to host'), "be reached"),
        (psycopg.OperationalError('connection failed: FATAL: password of user "ledger" is wrong'), "refuses"),
        (RPCError("tcp connect error to 10.0.0.7", RPCStatusCode.UNAVAILABLE, b""), "be reached"),
        (RPCError("namespace ledger is not yours", RPCStatusCode.PERMISSION_DENIED, b""), "refuses"),
    ],
)
async def test_readiness_tells_strangers_nothing_of_where_and_who(house: House, breaks: Exception, said: str) -> None:
    async def probe() -> str | None:
        raise breaks

    app = create_app(dataclasses.replace(house.app.state.doors, probes={"part": probe}))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://house") as stranger:
        ready = await stranger.get("/readyz")
    assert ready.status_code == 503
    assert said in ready.json()["parts"]["part"]["error"]
    assert "10.0.0.7" not in ready.text
    assert "ledger" not in ready.text


async def test_a_refused_key_is_asked_for_once_in_a_while(house: House, tenant: Tenant) -> None:
    asked: list[str] = []

    class Counting(Keys):
        async def authenticate(self, secret: str) -> Principal | Refusal:
            asked.append(secret)
            return await super().authenticate(secret)

    authenticator = Authenticator(Counting(house.parts.engine))
    for _ in range(3):
        with pytest.raises(Unauthenticated):
            await authenticator.authenticate_secret("ck_wrong", Role.MEMBER)
        await authenticator.authenticate_secret(tenant.secret, Role.MEMBER)
    assert asked == ["ck_wrong", tenant.secret]
