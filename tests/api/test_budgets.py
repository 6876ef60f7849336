"""Budgets from the outside: made, kept to, told of."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import openai
import pytest

from customhouse.contracts.chat import Json
from customhouse.governance.budgets.worst_case import DEFAULT_OUTPUT_TOKENS
from customhouse.storage.budget_counts import BudgetCounts
from customhouse.storage.keys import Role
from tests.doubles.house import CALL_USD, House, Tenant, until
from tests.doubles.provider import ProviderDouble, after, failure, hello, silence, stream, whole

HELLO: Any = [{"role": "user", "content": "Say hello."}]
USD = Decimal(CALL_USD)

LONG = "word " * DEFAULT_OUTPUT_TOKENS
"""Some 5,000 tokens."""


async def make(house: House, tenant: Tenant, amount: str | int | Decimal, **fields: Any) -> Json:
    operator = await house.tenant(Role.OPERATOR, of=tenant)
    body = {"name": "team", "scope": "organization", "period": "day", "amount_usd": str(amount), **fields}
    response = await operator.http.post("/api/v1/budgets", json=body)
    assert response.status_code == 201, response.text
    made: Json = response.json()
    return made


async def counts(tenant: Tenant, budget: Json) -> tuple[Any, Any]:
    """Used and reserved."""
    (only,) = (await tenant.http.get(f"/api/v1/budgets/{budget['id']}")).json()["periods"]
    return Decimal(only["used_usd"]), Decimal(only["reserved_usd"])


async def chat(tenant: Tenant, model: str = "solo", max_tokens: int = 5, **options: Any) -> Any:
    return await tenant.openai.chat.completions.create(model=model, messages=HELLO, max_tokens=max_tokens, **options)


async def no_drift(house: House, tenant: Tenant) -> None:
    assert await BudgetCounts(house.parts.engine).drift(tenant.organization_id) == []


class TestKept:
    async def test_a_call_within_it(self, house: House, tenant: Tenant) -> None:
        budget = await make(house, tenant, 1)
        await chat(tenant)
        assert await counts(tenant, budget) == (USD, 0)
        body = (await tenant.http.get(f"/api/v1/budgets/{budget['id']}")).json()
        assert body["amount_usd"] == "1"
        assert body["periods"][0]["left_usd"] == str(1 - USD)
        assert body["periods"][0]["resets_at"] is not None
        await no_drift(house, tenant)

    @pytest.mark.parametrize("model", ["solo", "slow"])
    async def test_no_call_beyond_it(self, house: House, tenant: Tenant, provider: ProviderDouble, model: str) -> None:
        """In either lane."""
        budget = await make(house, tenant, "0.00003", name="tight")
        await chat(tenant, model)
        with pytest.raises(openai.APIStatusError) as caught:
            await chat(tenant, model)
        error = caught.value
        assert (error.status_code, error.code) == (402, "budget_exceeded")
        assert "'tight'" in error.message
        assert len(provider.asked()) == 1
        assert await counts(tenant, budget) == (USD, 0)
        rows = await tenant.ended(2)
        assert [row["status"] for row in rows] == ["completed", "failed"]
        assert rows[1]["error"]["code"] == "budget_exceeded"
        assert "invocation_failed" in await tenant.events()
        await no_drift(house, tenant)

    async def test_calls_in_flight_hold_their_part(
        self, house: House, tenant: Tenant, provider: ProviderDouble
    ) -> None:
        budget = await make(house, tenant, "0.00005")
        gate = asyncio.Event()
        provider.will(after(gate, hello))
        first = asyncio.create_task(chat(tenant, max_tokens=10))
        await until(provider.asked)
        with pytest.raises(openai.RateLimitError) as caught:
            await chat(tenant, max_tokens=10)
        assert caught.value.code == "budget_reserved"
        assert int(caught.value.response.headers["retry-after"]) >= 1
        gate.set()
        await first
        await chat(tenant, max_tokens=10)
        assert await counts(tenant, budget) == (2 * USD, 0)

    async def test_no_room_for_a_retry(self, house: House, tenant: Tenant, provider: ProviderDouble) -> None:
        """The first answer was paid for and misses its schema; there is no room to ask again."""
        budget = await make(house, tenant, "0.00004")
        provider.will(whole("no JSON"))
        schema = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}
        with pytest.raises(openai.APIStatusError) as caught:
            await chat(tenant, response_format=schema)
        assert (caught.value.status_code, caught.value.code) == (402, "budget_exceeded")
        assert len(provider.asked()) == 1
        assert await counts(tenant, budget) == (USD, 0)
        await no_drift(house, tenant)

    async def test_a_failure_gives_it_back(self, house: House, tenant: Tenant, provider: ProviderDouble) -> None:
        budget = await make(house, tenant, "0.00003")
        provider.will(failure(500), failure(500))
        await chat(tenant)
        assert len(provider.asked()) == 3
        assert await counts(tenant, budget) == (USD, 0)

    async def test_a_cancelled_call_gives_it_back(self, house: House, tenant: Tenant, provider: ProviderDouble) -> None:
        budget = await make(house, tenant, 1)
        provider.will(silence)
        call = asyncio.create_task(chat(tenant))
        await until(provider.asked)
        (row,) = await tenant.invocations()
        await tenant.http.post(f"/api/v1/invocations/{row['id']}/cancel", json={})
        with pytest.raises(openai.APIStatusError):
            await call
        used, reserved = await counts(tenant, budget)
        assert reserved == 0
        assert used == sum(cost["usd_cost"] for cost in await tenant.costs())

    async def test_an_unknown_price_is_refused_unless_allowed(
        self, house: House, tenant: Tenant, provider: ProviderDouble
    ) -> None:
        budget = await make(house, tenant, 1)
        with pytest.raises(openai.PermissionDeniedError) as caught:
            await chat(tenant, "unpriced")
        assert caught.value.code == "budget_price_unknown"
        assert not provider.asked()
        operator = await house.tenant(Role.OPERATOR, of=tenant)
        await operator.http.patch(f"/api/v1/budgets/{budget['id']}", json={"unpriced": "allow"})
        await chat(tenant, "unpriced")
        assert "price_unknown" in await tenant.events()

    async def test_others_are_not_bound_by_it(self, house: House, tenant: Tenant) -> None:
        await make(house, tenant, 0, scope="user", scope_id="ann")
        await chat(tenant, user="bob")
        with pytest.raises(openai.APIStatusError):
            await chat(tenant, user="ann")
        other = await house.tenant()
        await chat(other, user="ann")


class TestStreams:
    async def read(self, tenant: Tenant, **options: Any) -> tuple[str, list[str | None], Any]:
        """Text, finish reasons, and usage."""
        text, reasons, usage = "", [], None
        chunks = await tenant.openai.chat.completions.create(
            model="solo", messages=HELLO, stream=True, stream_options={"include_usage": True}, **options
        )
        async for chunk in chunks:
            usage = chunk.usage or usage
            for choice in chunk.choices:
                text += choice.delta.content or ""
                reasons += [choice.finish_reason] if choice.finish_reason else []
        return text, reasons, usage

    async def test_a_short_one_is_left_alone(self, house: House, tenant: Tenant) -> None:
        budget = await make(house, tenant, 1)
        text, reasons, _ = await self.read(tenant)
        assert (text, reasons) == ("Hello there.", ["stop"])
        assert await counts(tenant, budget) == (USD, 0)

    async def test_a_long_one_goes_on_while_there_is_room(
        self, house: House, tenant: Tenant, provider: ProviderDouble
    ) -> None:
        budget = await make(house, tenant, 1)
        provider.will(stream(LONG, LONG, "end"))
        text, reasons, _ = await self.read(tenant)
        assert text.endswith("end")
        assert reasons == ["stop"]
        assert await counts(tenant, budget) == (USD, 0)

    async def test_and_ends_where_there_is_none(self, house: House, tenant: Tenant, provider: ProviderDouble) -> None:
        """As at a limit of tokens: what has come is kept, and paid for."""
        budget = await make(house, tenant, Decimal(2 * DEFAULT_OUTPUT_TOKENS + 1000) / 10**6)
        provider.will(stream("first ", LONG, asyncio.Event()))
        text, reasons, _ = await self.read(tenant)
        assert text == f"first {LONG}"
        assert reasons == ["length"]
        (call,) = provider.asked()
        await until(lambda: call.ended)
        assert call.closed, "the provider was told to stop"
        (row,) = await tenant.ended()
        assert row["status"] == "completed"
        assert "budget_stopped_stream" in await tenant.events()
        (cost,) = await tenant.costs()
        assert cost["usage_estimated"]
        used, reserved = await counts(tenant, budget)
        assert (used, reserved) == (cost["usd_cost"], 0)
        assert used > Decimal(2 * DEFAULT_OUTPUT_TOKENS) / 10**6
        stored = (await tenant.http.get(f"/api/v1/invocations/{row['id']}")).json()
        assert stored["answer"]["choices"][0]["finish_reason"] == "length"
        await no_drift(house, tenant)

    async def test_the_callers_own_limit_needs_no_guard(
        self, house: House, tenant: Tenant, provider: ProviderDouble
    ) -> None:
        await make(house, tenant, "0.0001")
        provider.will(stream("Hello there. " * 10))
        _, reasons, _ = await self.read(tenant, max_tokens=20)
        assert reasons == ["stop"]


class TestDoors:
    async def test_the_life_of_a_budget(self, house: House, tenant: Tenant) -> None:
        made = await make(house, tenant, "2.50", soft_percent=[90, 50, 90])
        assert made["amount_usd"] == "2.5"
        assert made["soft_percent"] == [50, 90]
        assert (await tenant.http.get("/api/v1/budgets")).json()["data"] == [made]
        operator = await house.tenant(Role.OPERATOR, of=tenant)
        url = f"/api/v1/budgets/{made['id']}"
        changed = (await operator.http.patch(url, json={"amount_usd": "3", "name": "crew"})).json()
        assert (changed["amount_usd"], changed["name"], changed["hard"]) == ("3", "crew", True)
        assert (await operator.http.delete(url)).status_code == 204
        assert (await operator.http.get(url)).status_code == 404
        audited = await tenant.rows(
            "SELECT action FROM audit_logs WHERE organization_id = :organization_id AND target = :id ORDER BY sequence",
            id=made["id"],
        )
        assert [row["action"] for row in audited] == ["budget.created", "budget.changed", "budget.deleted"]

    @pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
    async def test_members_only_read(self, house: House, tenant: Tenant, method: str) -> None:
        made = await make(house, tenant, 1)
        url = "/api/v1/budgets" if method == "POST" else f"/api/v1/budgets/{made['id']}"
        assert (await tenant.http.request(method, url, json={})).status_code == 403

    @pytest.mark.parametrize(
        ("change", "param"),
        [
            ({"scope_id": "x"}, "body"),
            ({"scope": "key", "scope_id": "x"}, "body"),
            ({"scope": "key", "scope_id": "01a20f40-fcba-72ef-bdcb-c1b434068edc"}, "scope_id"),
            ({"amount_usd": "-1"}, "amount_usd"),
            ({"amount_usd": "much"}, "amount_usd"),
            ({"period": "year"}, "period"),
        ],
    )
    async def test_what_makes_no_sense_is_named(self, house: House, tenant: Tenant, change: Json, param: str) -> None:
        operator = await house.tenant(Role.OPERATOR, of=tenant)
        body = {"name": "team", "scope": "organization", "period": "day", "amount_usd": "1", **change}
        response = await operator.http.post("/api/v1/budgets", json=body)
        assert response.status_code == 422
        assert response.json()["param"] == param
