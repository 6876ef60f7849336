"""Rate limits at the doors: set over REST, kept by every door, shown as OpenAI shows them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import openai
import pytest

from customhouse.client import CustomhouseClient
from customhouse.contracts.chat import ChatRequest, Json
from customhouse.contracts.errors import Blocked, RateLimited
from customhouse.integrations import rate_limits
from customhouse.integrations.rate_limits import MemoryWindows
from customhouse.storage.keys import Role
from tests.doubles.house import House, Tenant, running_house, until
from tests.doubles.provider import ProviderDouble
from tests.stack import fresh_database
from workers.embedded.postgres import Postgres

HELLO: Any = [{"role": "user", "content": "Say hello."}]
CHAT: Json = {"model": "solo", "messages": HELLO}


async def limited(house: House, tenant: Tenant, **limit: Any) -> Tenant:
    """An operator of the tenant's organization, once the limit holds here."""
    operator = await house.tenant(Role.OPERATOR, of=tenant)
    response = await operator.http.put("/api/v1/limits", json=limit)
    assert response.status_code == 200, response.text
    await holds(house, tenant, len((await operator.http.get("/api/v1/limits")).json()["data"]))
    return operator


async def holds(house: House, tenant: Tenant, count: int) -> None:
    """Until this process keeps so many limits of the tenant's organization, which it must within two seconds."""
    book = house.parts.limiting.limiter._rules

    def known() -> bool:
        rules = book.of(tenant.organization_id)
        laid = (
            0 if rules is None else len({id(r) for s in rules._by_scope.values() for rs in s.values() for r, _ in rs})
        )
        return laid == count

    await until(known, deadline_s=2)


async def test_past_the_limit_requests_are_refused_before_anything_begins(house: House, tenant: Tenant) -> None:
    await limited(house, tenant, scope="organization", requests=2, window_s=60)
    answers = [await tenant.http.post("/v1/chat/completions", json=CHAT) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["1", "0", "0"]
    assert {answer.headers["x-ratelimit-limit-requests"] for answer in answers} == {"2"}
    assert answers[0].headers["x-ratelimit-reset-requests"] == "1m1s"
    refused = answers[2]
    assert 1 <= int(refused.headers["retry-after"]) <= 61
    assert 1 <= int(refused.headers["retry-after-ms"]) <= 61_000
    error = refused.json()["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
    assert "2 requests in 1m0s for the organization" in error["message"]
    assert "Try again in" in error["message"]
    assert len(await tenant.invocations()) == 2


async def test_the_official_client_sees_its_own_error(house: House, tenant: Tenant) -> None:
    await limited(house, tenant, scope="key", requests=1)
    await tenant.openai.chat.completions.create(model="solo", messages=HELLO)
    with pytest.raises(openai.RateLimitError) as refused:
        await tenant.openai.chat.completions.create(model="solo", messages=HELLO)
    assert refused.value.code == "rate_limit_exceeded"
    assert refused.value.response.headers["retry-after"]


async def test_every_door_and_stream_counts(house: House, tenant: Tenant) -> None:
    await limited(house, tenant, scope="user", requests=3)
    headers = {"x-customhouse-user": "u-17"}
    stream = await tenant.http.post("/v1/chat/completions", json={**CHAT, "stream": True}, headers=headers)
    rest = await tenant.http.post("/api/v1/invocations", json={"request": CHAT, "user_id": "u-17"})
    later = await tenant.http.post("/api/v1/invocations", json={"request": CHAT, "user_id": "u-17", "wait": False})
    assert [stream.status_code, rest.status_code, later.status_code] == [200, 200, 202]
    assert [each.headers["x-ratelimit-remaining-requests"] for each in (stream, rest, later)] == ["2", "1", "0"]
    refused = await tenant.http.post("/api/v1/invocations", json={"request": {**CHAT, "user": "u-17"}})
    assert refused.status_code == 429
    assert refused.json()["code"] == "rate_limit_exceeded"
    assert refused.headers["content-type"] == "application/problem+json"
    assert (await tenant.http.post("/v1/chat/completions", json=CHAT)).status_code == 200, "nobody's user"
    await tenant.ended(4)


async def test_a_limit_of_one_user_goes_before_that_of_each(house: House, tenant: Tenant) -> None:
    await limited(house, tenant, scope="user", requests=1)
    await limited(house, tenant, scope="user", subject="vip", requests=5)
    for user, remaining in (("vip", "4"), ("vip", "3"), ("u", "0")):
        answer = await tenant.http.post("/v1/chat/completions", json={**CHAT, "user": user})
        assert answer.headers["x-ratelimit-remaining-requests"] == remaining


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_tokens_are_estimated_and_then_counted_as_they_were(house: House, tenant: Tenant, stream: bool) -> None:
    """The double uses 16 tokens; 500 are asked for."""
    await limited(house, tenant, scope="organization", tokens=1000)
    chat = {**CHAT, "max_completion_tokens": 500, "stream": stream}
    first = await tenant.http.post("/v1/chat/completions", json=chat)
    assert int(first.headers["x-ratelimit-remaining-tokens"]) < 500
    assert first.headers["x-ratelimit-limit-tokens"] == "1000"
    await tenant.ended()
    kept = house.parts.limiting.limiter._windows
    assert isinstance(kept, MemoryWindows)
    windows = [w for ws in kept._windows.values() for key, w in ws.items() if str(tenant.organization_id) in key]
    await until(lambda: [window._used for window in windows] == [16])
    assert (await tenant.http.post("/v1/chat/completions", json=chat)).status_code == 200


async def test_a_request_that_can_never_pass_is_told_so(house: House, tenant: Tenant) -> None:
    await limited(house, tenant, scope="organization", tokens=100)
    refused = await tenant.http.post("/v1/chat/completions", json={**CHAT, "max_tokens": 500})
    assert refused.status_code == 429
    assert "retry-after" not in refused.headers
    assert "can never pass" in refused.json()["error"]["message"]


async def test_dollars_are_counted_when_they_are_spent(house: House, tenant: Tenant) -> None:
    await limited(house, tenant, scope="organization", usd=0.00002)
    assert (await tenant.http.post("/v1/chat/completions", json=CHAT)).status_code == 200

    async def refused() -> bool:
        answer = await tenant.http.post("/v1/chat/completions", json=CHAT)
        return answer.status_code == 429 and "0.00002 USD" in answer.json()["error"]["message"]

    await until(refused)


async def test_a_repeated_request_uses_no_tokens(house: House, tenant: Tenant) -> None:
    await limited(house, tenant, scope="organization", tokens=1000)
    chat, headers = {**CHAT, "max_tokens": 400}, {"idempotency-key": "the same"}
    for _ in range(4):
        answer = await tenant.http.post("/v1/chat/completions", json=chat, headers=headers)
        assert answer.status_code == 200, "one call, however often it is asked for"
        await asyncio.sleep(0.05)


async def test_without_limits_nothing_is_shown(tenant: Tenant) -> None:
    answer = await tenant.http.post("/v1/chat/completions", json=CHAT)
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]


async def test_a_flood_leaves_one_event(house: House, tenant: Tenant) -> None:
    await limited(house, tenant, scope="organization", requests=1)
    await asyncio.gather(*(tenant.http.post("/v1/chat/completions", json=CHAT) for _ in range(20)))

    async def recorded() -> bool:
        return "rate_limited" in await tenant.events()

    await until(recorded)
    rows = await tenant.rows(
        "SELECT details FROM governance_events WHERE organization_id = :organization_id AND event_type = 'rate_limited'"
    )
    assert [row["details"]["count"] for row in rows] == [19]


async def test_a_removed_limit_holds_no_more(house: House, tenant: Tenant) -> None:
    operator = await limited(house, tenant, scope="organization", requests=1)
    assert (await tenant.http.post("/v1/chat/completions", json=CHAT)).status_code == 200
    assert (await tenant.http.post("/v1/chat/completions", json=CHAT)).status_code == 429
    (limit,) = (await tenant.http.get("/api/v1/limits")).json()["data"]
    removed = await operator.http.delete(f"/api/v1/limits/{limit['id']}")
    assert removed.json() == limit
    await holds(house, tenant, 0)
    assert (await tenant.http.post("/v1/chat/completions", json=CHAT)).status_code == 200


async def test_one_body_sets_several_and_another_replaces_one(house: House, tenant: Tenant) -> None:
    operator = await limited(
        house, tenant, scope="agent", subject="a", requests=10, tokens=2000, usd=1.5, window_s=3600
    )
    await operator.http.put("/api/v1/limits", json={"scope": "agent", "subject": "a", "requests": 20, "window_s": 3600})
    data = (await operator.http.get("/api/v1/limits")).json()["data"]
    assert {each["metric"]: each["amount"] for each in data} == {"requests": "20", "tokens": "2000", "usd": "1.5"}
    assert {each["updated_by"] for each in data} == {f"key:{operator.key_id}"}
    audited = await tenant.rows("SELECT action FROM audit_logs WHERE organization_id = :organization_id")
    assert sum(row["action"] == "rate_limit.set" for row in audited) == 4


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"scope": "user"}, "says no amount"),
        ({"scope": "user", "requests": 0}, "greater than or equal to 1"),
        ({"scope": "user", "requests": 1.5}, "valid integer"),
        ({"scope": "user", "requests": None}, "valid integer"),
        ({"scope": "planet", "requests": 1}, "'organization', 'user', 'agent', 'key', 'ip'"),
        ({"scope": "ip", "subject": "example.org", "requests": 1}, "example.org"),
        ({"scope": "key", "subject": "my key", "requests": 1}, "UUID"),
        ({"scope": "user", "subject": "a\0b", "requests": 1}, "NUL"),
        ({"scope": "user", "requests": 1, "window_s": 0}, "greater than or equal to 1"),
        ({"scope": "user", "requests": 1, "windows": 60}, "not permitted"),
    ],
    ids=str,
)
async def test_a_limit_that_makes_no_sense_is_refused(house: House, tenant: Tenant, body: Json, said: str) -> None:
    operator = await house.tenant(Role.OPERATOR, of=tenant)
    response = await operator.http.put("/api/v1/limits", json=body)
    assert response.status_code == 422
    assert said in response.json()["detail"]


async def test_calls_through_temporal_are_limited_as_well(house: House, tenant: Tenant) -> None:
    """Whichever door a call takes, it is counted once."""
    await limited(house, tenant, scope="organization", requests=2, tokens=1000)
    client = CustomhouseClient(house.parts.temporal, tenant.organization_id, task_queue=house.parts.settings.task_queue)
    asked = ChatRequest.model_validate({**CHAT, "max_tokens": 600})
    await client.invoke(asked)
    assert (await tenant.http.post("/v1/chat/completions", json={**CHAT, "max_tokens": 600})).status_code == 200
    with pytest.raises(RateLimited, match="2 requests in 1m0s for the organization") as refused:
        await client.invoke(asked)
    assert refused.value.retry_after_s is not None
    assert [row["status"] for row in await tenant.invocations()] == ["completed", "completed", "failed"]


async def test_who_is_blocked_gets_in_by_no_door(house: House, tenant: Tenant) -> None:
    operator = await house.tenant(Role.OPERATOR, of=tenant)
    await operator.http.post("/api/v1/blocks", json={"kind": "agent", "subject": "a", "reason": "a test"})
    await until(lambda: house.parts.limiting.block_book._rules.of(tenant.organization_id) is not None, deadline_s=2)
    client = CustomhouseClient(house.parts.temporal, tenant.organization_id, task_queue=house.parts.settings.task_queue)
    with pytest.raises(Blocked, match="agent 'a'"):
        await client.invoke(ChatRequest.model_validate(CHAT), agent_id="a")


@pytest.fixture
async def two_houses(
    postgres: Postgres,
    temporal_address: str,
    provider: ProviderDouble,
    valkey_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[tuple[House, House]]:
    """Two processes on one database and one Valkey, behind one trusted proxy."""
    monkeypatch.setattr(rate_limits, "RATE_LIMIT_TIMEOUT", timedelta(seconds=30))  # however busy the machine is
    async with fresh_database(postgres) as url:
        given: dict[str, Any] = {"valkey_url": valkey_url, "trusted_proxies": "127.0.0.1"}
        queue = f"limits-{uuid4().hex}"
        async with (
            running_house(url, temporal_address, provider, queue, **given) as one,
            running_house(url, temporal_address, provider, f"{queue}-two", **given) as two,
        ):
            yield one, two


async def test_processes_on_one_valkey_keep_a_limit_together(two_houses: tuple[House, House]) -> None:
    one, two = two_houses
    tenant = await one.tenant()
    await limited(one, tenant, scope="ip", requests=6)
    await holds(two, tenant, 1)
    async with httpx.AsyncClient(headers=tenant.headers, timeout=60) as client:

        async def ask(house: House, address: str) -> int:
            url = f"{house.url}/v1/chat/completions"
            return (await client.post(url, json=CHAT, headers={"x-forwarded-for": address})).status_code

        statuses = await asyncio.gather(*(ask(house, "192.0.2.1") for house in two_houses for _ in range(6)))
        assert sorted(statuses) == [200] * 6 + [429] * 6
        assert await ask(two, "192.0.2.2") == 200
    rows = await tenant.invocations()
    assert len(rows) == 7
