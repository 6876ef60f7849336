"""Block lists at the doors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from customhouse.contracts.chat import Json
from customhouse.storage.keys import Role
from tests.doubles.house import House, Tenant, running_house, until
from tests.doubles.provider import ProviderDouble
from tests.stack import fresh_database
from workers.embedded.postgres import Postgres

CHAT: Json = {"model": "solo", "messages": [{"role": "user", "content": "Say hello."}]}


async def blocked(house: House, tenant: Tenant, **entry: Any) -> tuple[Tenant, Json]:
    """An operator of the tenant's organization and the entry, once it holds here."""
    operator = await house.tenant(Role.OPERATOR, of=tenant)
    response = await operator.http.post("/api/v1/blocks", json={"reason": "a test", **entry})
    assert response.status_code == 201, response.text
    book = house.parts.limiting.block_book._rules

    def known() -> bool:
        entries = book.of(tenant.organization_id)
        lists = () if entries is None else (entries._deny, entries._allow, entries._only)
        return response.json()["id"] in {str(r.id) for each in lists for rules in each.by_kind.values() for r in rules}

    await until(known, deadline_s=2)
    return operator, response.json()


async def ask(tenant: Tenant, ip: str | None = None, **chat: Any) -> httpx.Response:
    headers = {} if ip is None else {"x-forwarded-for": ip}
    return await tenant.http.post("/v1/chat/completions", json={**CHAT, **chat}, headers=headers)


@pytest.fixture
async def proxied(postgres: Postgres, temporal_address: str, provider: ProviderDouble) -> AsyncIterator[House]:
    """A process that trusts whoever calls from this machine to say for whom."""
    async with fresh_database(postgres) as url:
        queue = f"blocks-{uuid4().hex}"
        async with running_house(url, temporal_address, provider, queue, trusted_proxies="127.0.0.0/8") as running:
            yield running


async def test_a_blocked_user_is_refused_before_anything_begins(house: House, tenant: Tenant) -> None:
    operator, entry = await blocked(house, tenant, kind="user", subject="u")
    refused = await ask(tenant, user="u")
    assert refused.status_code == 403
    error = refused.json()["error"]
    assert (error["type"], error["code"]) == ("permission_error", "blocked")
    assert entry["id"] in error["message"]
    assert (await ask(tenant, user="v")).status_code == 200
    assert len(await tenant.invocations()) == 1
    removed = await operator.http.delete(f"/api/v1/blocks/{entry['id']}")
    assert removed.json()["removed_by"] == f"key:{operator.key_id}"

    async def let_in() -> bool:
        return (await ask(tenant, user="u")).status_code == 200

    await until(let_in, deadline_s=2)


async def test_a_blocked_key_is_refused_everywhere(house: House, tenant: Tenant) -> None:
    await blocked(house, tenant, kind="key", subject=str(tenant.key_id))
    for method, path in (("GET", "/v1/models"), ("GET", "/api/v1/cost-logs"), ("POST", "/v1/chat/completions")):
        response = await tenant.http.request(method, path)
        assert response.status_code == 403
        assert "blocked" in response.text


async def test_an_organizations_addresses_are_its_own_matter(proxied: House) -> None:
    tenant, other = await proxied.tenant(), await proxied.tenant()
    await blocked(proxied, tenant, kind="ip", subject="192.0.2.0/24")
    assert (await ask(tenant, "192.0.2.77")).status_code == 403
    assert (await ask(tenant, "::ffff:192.0.2.77")).status_code == 403
    assert (await ask(tenant, "198.51.100.1")).status_code == 200
    assert (await ask(other, "192.0.2.77")).status_code == 200


async def test_the_installations_own_addresses_are_turned_back_at_the_gate(proxied: House) -> None:
    """Before a key is looked at, at every route but the probes."""
    own = await proxied.operator()
    await blocked(proxied, own, kind="ip", subject="2001:db8::/32")
    stranger = {"x-forwarded-for": "2001:db8::9"}
    async with httpx.AsyncClient(base_url=proxied.url) as client:
        for path in ("/v1/models", "/api/v1/cost-logs", "/nowhere"):
            refused = await client.get(path, headers=stranger)
            assert refused.status_code == 403
            assert "blocked" in refused.text
        assert (await client.get("/healthz", headers=stranger)).status_code == 200
        assert (await client.get("/v1/models")).status_code == 401

    async def recorded() -> bool:
        return "caller_blocked" in await own.events()

    await until(recorded)
    (row,) = await own.rows(
        "SELECT details FROM governance_events WHERE organization_id = :organization_id "
        "AND event_type = 'caller_blocked'"
    )
    assert row["details"]["subject"] == "ip:2001:db8::9"
    assert row["details"]["count"] == 3


async def test_allow_goes_before_deny_and_only_lets_nobody_else_in(proxied: House) -> None:
    tenant = await proxied.tenant()
    await blocked(proxied, tenant, kind="ip", subject="192.0.2.0/24")
    await blocked(proxied, tenant, kind="ip", subject="192.0.2.1", effect="allow")
    assert [(await ask(tenant, f"192.0.2.{last}")).status_code for last in (1, 2)] == [200, 403]
    await blocked(proxied, tenant, kind="ip", subject="192.0.2.0/25", effect="only")
    assert [(await ask(tenant, ip)).status_code for ip in ("192.0.2.1", "198.51.100.1")] == [200, 403]


async def test_a_header_from_whom_nobody_trusts_is_not_believed(house: House, tenant: Tenant) -> None:
    """Not even from this machine, which the server would believe by default."""
    await blocked(house, tenant, kind="ip", subject="192.0.2.0/24")
    assert (await ask(tenant, "192.0.2.77")).status_code == 200


async def test_the_address_goes_into_history_with_the_caller(proxied: House) -> None:
    tenant = await proxied.tenant()
    await ask(tenant, "192.0.2.77")
    (row,) = await tenant.ended()
    handle = proxied.parts.temporal.get_workflow_handle(row["workflow_id"])
    (started, *_) = [event async for event in handle.fetch_history_events()]
    payload = started.workflow_execution_started_event_attributes.input.payloads[0]
    assert b'"ip":"192.0.2.77"' in payload.data


async def test_an_entry_that_has_expired_holds_no_more(house: House, tenant: Tenant) -> None:
    await blocked(house, tenant, kind="user", subject="u", expires_in_s=1)
    assert (await ask(tenant, user="u")).status_code == 403

    async def let_in() -> bool:
        return (await ask(tenant, user="u")).status_code == 200

    await until(let_in)


async def test_what_was_done_is_listed_and_audited(house: House, tenant: Tenant) -> None:
    operator, first = await blocked(house, tenant, kind="agent", subject="a", network="2001:DB8::1/32")
    assert first["network"] == "2001:db8::/32"
    _, second = await blocked(house, tenant, kind="ip", subject="::ffff:192.0.2.7")
    assert second["subject"] == "192.0.2.7/32"
    listed = (await operator.http.get("/api/v1/blocks")).json()["data"]
    assert [entry["id"] for entry in listed] == [second["id"], first["id"]]
    await operator.http.delete(f"/api/v1/blocks/{first['id']}")
    assert len((await operator.http.get("/api/v1/blocks")).json()["data"]) == 1
    assert len((await operator.http.get("/api/v1/blocks", params={"past": "true"})).json()["data"]) == 2
    audited = await tenant.rows("SELECT action FROM audit_logs WHERE organization_id = :organization_id")
    actions = [row["action"] for row in audited if row["action"].startswith("block.")]
    assert sorted(actions) == ["block.added", "block.added", "block.removed"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"kind": "ip", "subject": "example.org", "reason": "r"}, "example.org"),
        ({"kind": "ip", "subject": "192.0.2.0/33", "reason": "r"}, "192.0.2.0/33"),
        ({"kind": "ip", "subject": "192.0.2.1"}, "Field required"),
        ({"kind": "key", "subject": "mine", "reason": "r"}, "UUID"),
        ({"kind": "user", "subject": "u", "network": "there", "reason": "r"}, "there"),
        ({"kind": "user", "subject": "u", "reason": "r", "expires_in_s": 0}, "greater than or equal to 1"),
        ({"kind": "planet", "subject": "u", "reason": "r"}, "'ip', 'user', 'agent', 'key'"),
        ({"kind": "user", "subject": "u", "reason": "r", "effect": "maybe"}, "'deny', 'allow' or 'only'"),
    ],
    ids=str,
)
async def test_an_entry_that_makes_no_sense_is_refused(house: House, tenant: Tenant, body: Json, said: str) -> None:
    operator = await house.tenant(Role.OPERATOR, of=tenant)
    response = await operator.http.post("/api/v1/blocks", json=body)
    assert response.status_code == 422
    assert said in response.json()["detail"]
