"""The official `openai` client against `/v1`: whole answers, models, and its error classes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import openai
import pytest

from customhouse.storage.keys import Keys, Role
from tests.doubles.house import CALL_USD, House, Tenant
from tests.doubles.provider import ProviderDouble, calling_tool, failure, whole
from tests.governance.samples import PII, SECRETS

HELLO: Any = [{"role": "user", "content": "Say hello."}]

SCHEMA: Any = {
    "type": "json_schema",
    "json_schema": {
        "name": "city",
        "schema": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


async def test_a_whole_answer(tenant: Tenant, provider: ProviderDouble) -> None:
    answer = await tenant.openai.chat.completions.create(model="solo", messages=HELLO, temperature=0.5)
    assert answer.choices[0].message.content == "Hello there."
    assert answer.usage is not None
    assert answer.usage.total_tokens == 16
    (call,) = provider.calls
    assert call.headers["authorization"] == "Bearer sk-mock-0123456789"
    assert call.body == {"model": "solo", "messages": HELLO, "temperature": 0.5, "stream": False}
    (row,) = await tenant.invocations()
    assert (row["status"], row["verdict"], row["policy_version"]) == ("completed", "allow", "builtin-1")
    assert row["usd_cost"] == Decimal(CALL_USD)
    (cost,) = await tenant.costs()
    assert (cost["tokens_input"], cost["tokens_output"], cost["usd_cost"]) == (11, 5, Decimal(CALL_USD))


async def test_the_synchronous_client(tenant: Tenant) -> None:
    client = openai.OpenAI(base_url=f"{tenant.house.url}/v1", api_key=tenant.secret, max_retries=0)
    answer = await asyncio.to_thread(client.chat.completions.create, model="solo", messages=HELLO)
    assert answer.choices[0].message.content == "Hello there."

    def streamed() -> str:
        with client.chat.completions.create(model="solo", messages=HELLO, stream=True) as chunks:
            return "".join(c.choices[0].delta.content or "" for c in chunks)

    assert await asyncio.to_thread(streamed) == "Hello there."
    client.close()


@pytest.mark.parametrize("model", ["solo", "slow"])
async def test_headers_tell_what_governance_did(tenant: Tenant, model: str) -> None:
    raw = await tenant.openai.chat.completions.with_raw_response.create(model=model, messages=HELLO)
    (row,) = await tenant.invocations()
    assert raw.headers["x-customhouse-invocation-id"] == str(row["id"])
    assert raw.headers["x-customhouse-trace-id"] == row["id"].hex
    assert raw.headers["x-customhouse-verdict"] == "allow"
    assert raw.headers["x-customhouse-cost-usd"] == CALL_USD
    assert float(raw.headers["x-customhouse-overhead-ms"]) >= 0
    steps = {part.partition(";")[0] for part in raw.headers["server-timing"].split(", ")}
    assert {"start", "clear", "check-secrets", "check-pii", "call", "inspect", "total"} <= steps


async def test_tools(tenant: Tenant, provider: ProviderDouble) -> None:
    provider.will(calling_tool("weather", '{"city": "Oslo"}'))
    tool: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    answer = await tenant.openai.chat.completions.create(model="solo", messages=HELLO, tools=[tool])
    (asked,) = answer.choices[0].message.tool_calls or []
    assert asked.type == "function"
    assert (asked.function.name, asked.function.arguments) == ("weather", '{"city": "Oslo"}')
    assert answer.choices[0].finish_reason == "tool_calls"
    history: Any = [*HELLO, answer.choices[0].message, {"role": "tool", "tool_call_id": "call_1", "content": "cold"}]
    again = await tenant.openai.chat.completions.create(model="solo", messages=history, tools=[tool])
    assert again.choices[0].message.content == "Hello there."
    assert provider.calls[-1].body["messages"][1]["tool_calls"][0]["id"] == "call_1"


async def test_several_choices(tenant: Tenant) -> None:
    answer = await tenant.openai.chat.completions.create(model="solo", messages=HELLO, n=2)
    assert [choice.message.content for choice in answer.choices] == ["Hello there."] * 2


class TestJsonSchema:
    async def test_a_fitting_answer(self, tenant: Tenant, provider: ProviderDouble) -> None:
        provider.will(whole('{"city": "Oslo"}'))
        answer = await tenant.openai.chat.completions.create(model="solo", messages=HELLO, response_format=SCHEMA)
        assert answer.choices[0].message.content == '{"city": "Oslo"}'
        assert len(provider.calls) == 1

    @pytest.mark.parametrize("model", ["solo", "slow"])
    async def test_a_missing_one_is_asked_for_again(self, tenant: Tenant, provider: ProviderDouble, model: str) -> None:
        provider.will(whole('{"town": "Oslo"}'), whole('{"city": "Oslo"}'))
        answer = await tenant.openai.chat.completions.create(model=model, messages=HELLO, response_format=SCHEMA)
        assert answer.choices[0].message.content == '{"city": "Oslo"}'
        shown = provider.calls[1].body["messages"]
        assert shown[1] == {"role": "assistant", "content": '{"town": "Oslo"}'}
        assert "city" in shown[2]["content"]
        costs = await tenant.costs()
        assert [cost["attempt_number"] for cost in costs] == [1, 2]
        (row,) = await tenant.invocations()
        assert row["usd_cost"] == sum(cost["usd_cost"] for cost in costs)

    async def test_one_that_never_fits_is_blocked(self, tenant: Tenant, provider: ProviderDouble) -> None:
        provider.always(whole("no JSON at all"))
        with pytest.raises(openai.PermissionDeniedError) as caught:
            await tenant.openai.chat.completions.create(model="solo", messages=HELLO, response_format=SCHEMA)
        assert caught.value.code == "blocked_by_policy"
        assert len(provider.calls) == len(await tenant.costs()) == 2

    async def test_an_unusable_schema(self, tenant: Tenant, provider: ProviderDouble) -> None:
        wrong: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "strange"}}}
        with pytest.raises(openai.UnprocessableEntityError) as caught:
            await tenant.openai.chat.completions.create(model="solo", messages=HELLO, response_format=wrong)
        assert str(caught.value.param).startswith("response_format.json_schema.schema")
        assert provider.calls == []
        (row,) = await tenant.invocations()
        assert row["status"] == "failed"


async def test_models(tenant: Tenant) -> None:
    names = [model.id async for model in tenant.openai.models.list()]
    assert names == ["solo", "slow", "duo", "spread", "elsewhere", "unpriced", "wordless"]
    one = await tenant.openai.models.retrieve("spread")
    assert one.owned_by == "mock"
    with pytest.raises(openai.NotFoundError):
        await tenant.openai.models.retrieve("gpt-9")


async def test_an_unknown_price_is_null_and_an_event(tenant: Tenant) -> None:
    raw = await tenant.openai.chat.completions.with_raw_response.create(model="unpriced", messages=HELLO)
    assert "x-customhouse-cost-usd" not in raw.headers
    (cost,) = await tenant.costs()
    assert cost["usd_cost"] is None
    assert await tenant.events() == ["price_unknown"]


class TestErrors:
    async def test_no_such_key(self, tenant: Tenant) -> None:
        client = tenant.openai.with_options(api_key="ck_unknown")
        with pytest.raises(openai.AuthenticationError) as caught:
            await client.chat.completions.create(model="solo", messages=HELLO)
        assert caught.value.code == "invalid_api_key"
        assert caught.value.response.headers["www-authenticate"].startswith("Bearer")

    async def test_an_expired_and_a_revoked_key(self, house: House, tenant: Tenant) -> None:
        expired = await house.tenant(of=tenant, expires_at=datetime.now(UTC) + timedelta(hours=1))
        await house.change(
            "UPDATE api_keys SET expires_at = now() - interval '1 second' WHERE id = :id", id=expired.key_id
        )
        with pytest.raises(openai.AuthenticationError, match="expired"):
            await expired.openai.models.list()
        revoked = await house.tenant(of=tenant)
        await Keys(house.parts.engine).revoke(tenant.organization_id, revoked.key_id, actor="test")
        with pytest.raises(openai.AuthenticationError, match="revoked"):
            await revoked.openai.models.list()

    async def test_an_unknown_model(self, tenant: Tenant) -> None:
        with pytest.raises(openai.NotFoundError, match="solo") as caught:
            await tenant.openai.chat.completions.create(model="gpt-9", messages=HELLO)
        assert (caught.value.code, caught.value.param) == ("model_not_found", "model")

    @pytest.mark.parametrize("model", ["solo", "slow"])
    async def test_what_the_provider_calls_wrong_is_a_bad_request(
        self, tenant: Tenant, provider: ProviderDouble, model: str
    ) -> None:
        provider.will(failure(400, "top_k is not supported", code="unsupported_parameter"))
        with pytest.raises(openai.BadRequestError, match="top_k is not supported"):
            await tenant.openai.chat.completions.create(model=model, messages=HELLO)
        assert len(provider.calls) == 1
        (row,) = await tenant.invocations()
        assert row["status"] == "failed"

    async def test_a_secret_in_the_request_is_blocked(self, tenant: Tenant, provider: ProviderDouble) -> None:
        secret = SECRETS["github_token"]
        with pytest.raises(openai.PermissionDeniedError) as caught:
            await tenant.openai.chat.completions.create(
                model="solo", messages=[{"role": "user", "content": f"Use {secret} now"}]
            )
        assert caught.value.code == "blocked_by_policy"
        assert secret not in str(caught.value)
        assert caught.value.response.headers["x-customhouse-verdict"] == "block"
        assert provider.calls == []
        (row,) = await tenant.invocations()
        assert row["status"] == "blocked"
        assert secret not in str(row)
        assert await tenant.events() == ["finding"]
        assert await tenant.costs() == []

    async def test_a_secret_in_the_answer_is_blocked_and_billed(self, tenant: Tenant, provider: ProviderDouble) -> None:
        provider.will(whole(f"The token is {SECRETS['github_token']}."))
        with pytest.raises(openai.PermissionDeniedError) as caught:
            await tenant.openai.chat.completions.create(model="solo", messages=HELLO)
        assert caught.value.code == "blocked_by_policy"
        assert caught.value.response.headers["x-customhouse-cost-usd"] == CALL_USD
        assert len(await tenant.costs()) == 1
        for table in ("invocations", "attempts", "governance_events"):
            kept = await tenant.rows(f"SELECT * FROM {table} WHERE organization_id = :organization_id")
            assert SECRETS["github_token"] not in str(kept)

    async def test_personal_data_is_redacted_both_ways(self, tenant: Tenant, provider: ProviderDouble) -> None:
        provider.will(whole(f"Call {PII['phone']}."))
        raw = await tenant.openai.chat.completions.with_raw_response.create(
            model="solo", messages=[{"role": "user", "content": f"Write to {PII['email']}."}]
        )
        assert raw.headers["x-customhouse-verdict"] == "redact"
        assert PII["phone"] not in (raw.parse().choices[0].message.content or "")
        assert PII["email"] not in provider.calls[0].prompt
        for table in ("invocations", "attempts", "governance_events"):
            kept = str(await tenant.rows(f"SELECT * FROM {table} WHERE organization_id = :organization_id"))
            assert PII["phone"] not in kept
            assert PII["email"] not in kept

    async def test_no_lawful_route(self, tenant: Tenant, provider: ProviderDouble) -> None:
        with pytest.raises(openai.PermissionDeniedError) as caught:
            await tenant.openai.chat.completions.create(
                model="solo", messages=HELLO, extra_headers={"x-customhouse-region": "us"}
            )
        assert caught.value.code == "no_lawful_route"
        assert "region is eu" in str(caught.value)
        assert provider.calls == []

    async def test_a_provider_that_is_down(self, tenant: Tenant, provider: ProviderDouble) -> None:
        provider.always(failure(500))
        with pytest.raises(openai.InternalServerError) as caught:
            await tenant.openai.chat.completions.create(model="solo", messages=HELLO)
        assert (caught.value.status_code, caught.value.code) == (502, "invocation_failed")
        assert len(provider.calls) == 3

    async def test_a_provider_that_limits_the_rate(self, tenant: Tenant, provider: ProviderDouble) -> None:
        provider.always(failure(429, "slow down", retry_after="3600"))
        with pytest.raises(openai.APIStatusError) as caught:
            await tenant.openai.chat.completions.create(model="solo", messages=HELLO)
        assert len(provider.calls) == 1, "a pause longer than we grant is not waited for"
        assert isinstance(caught.value, openai.RateLimitError)
        assert caught.value.response.headers["retry-after"] == "3600"


async def test_an_operators_and_an_admins_key_make_calls_too(house: House, tenant: Tenant) -> None:
    for role in (Role.OPERATOR, Role.ADMIN):
        other = await house.tenant(role, of=tenant)
        answer = await other.openai.chat.completions.create(model="solo", messages=HELLO)
        assert answer.choices[0].message.content == "Hello there."
