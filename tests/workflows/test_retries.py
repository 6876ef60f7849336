"""Retries, rerouting, and the law of the route."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from tests.doubles.house import Tenant
from tests.doubles.provider import Call, ProviderDouble, failure, hello, silence, whole

HELLO: Any = [{"role": "user", "content": "Say hello."}]


async def post(tenant: Tenant, model: str, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await tenant.http.post("/v1/chat/completions", json={"model": model, "messages": HELLO}, headers=named)


async def attempts(tenant: Tenant) -> list[tuple[str, str]]:
    return [(cost["provider"], cost["attempt_status"]) for cost in await tenant.costs()]


@pytest.mark.parametrize("model", ["solo", "slow"])
async def test_a_rate_limit_is_waited_out(tenant: Tenant, provider: ProviderDouble, model: str) -> None:
    provider.will(failure(429, "slow down", retry_after="0.2"))
    assert (await post(tenant, model)).status_code == 200
    assert await attempts(tenant) == [("mock", "failed"), ("mock", "succeeded")]


async def test_a_long_pause_in_the_local_lane_is_a_timer(tenant: Tenant, provider: ProviderDouble) -> None:
    provider.will(failure(429, "slow down", retry_after="2.1"))
    assert (await post(tenant, "solo")).status_code == 200
    (row,) = await tenant.invocations()
    handle = tenant.house.parts.temporal.get_workflow_handle(row["workflow_id"])
    events = (await handle.fetch_history()).events
    assert any(event.HasField("timer_fired_event_attributes") for event in events)


@pytest.mark.parametrize("status", [500, 503])
async def test_a_deployment_that_stays_down_is_left_for_the_next(
    tenant: Tenant, provider: ProviderDouble, status: int
) -> None:
    provider.always(failure(status))
    response = await post(tenant, "duo")
    assert response.status_code == 200
    assert await attempts(tenant) == [("mock", "failed")] * 3 + [("backup", "succeeded")]
    (row,) = await tenant.invocations()
    assert row["deployment_id"] == "duo@backup@eu"


async def test_a_connection_that_breaks_is_tried_again(tenant: Tenant, provider: ProviderDouble) -> None:
    async def drop(request: web.Request, call: Call) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return await hello(request, call)

    provider.will(drop)
    assert (await post(tenant, "solo")).status_code == 200
    first, second = await tenant.costs()
    assert first["usage_estimated"], "whether the provider charges for it is not known"
    assert second["attempt_status"] == "succeeded"


@pytest.mark.parametrize(
    "said",
    [
        failure(400, "too long", code="context_length_exceeded"),
        failure(404, "no such model", code="model_not_found"),
        failure(429, "no money", code="insufficient_quota"),
    ],
)
async def test_what_another_deployment_may_do_moves_on_at_once(
    tenant: Tenant, provider: ProviderDouble, said: Any
) -> None:
    provider.will(said)
    assert (await post(tenant, "duo")).status_code == 200
    assert [call.provider for call in provider.calls] == ["mock", "backup"]


@pytest.mark.parametrize("status", [400, 401])
async def test_what_nothing_mends_ends_at_once(tenant: Tenant, provider: ProviderDouble, status: int) -> None:
    provider.always(failure(status, "never"))
    response = await post(tenant, "duo")
    assert [call.provider for call in provider.calls] == ["mock"]
    # The provider's 401 is about our key, which is none of the caller's.
    assert response.status_code == (400 if status == 400 else 502)
    assert "never" in response.json()["error"]["message"]


class TestRegion:
    async def test_a_region_narrows_the_route(self, tenant: Tenant, provider: ProviderDouble) -> None:
        assert (await post(tenant, "spread", x_customhouse_region="us")).status_code == 200
        assert [call.provider for call in provider.calls] == ["backup"]
        (row,) = await tenant.invocations()
        assert [step["deployment_id"] for step in row["decision"]["route"]] == ["spread@backup@us"]
        assert row["decision"]["left_out"][0]["deployment_id"] == "spread@mock@eu"

    @pytest.mark.parametrize("said", [failure(500), failure(404, code="model_not_found")])
    async def test_no_attempt_leaves_it_when_all_its_deployments_are_down(
        self, tenant: Tenant, provider: ProviderDouble, said: Any
    ) -> None:
        provider.always(said)
        response = await post(tenant, "spread", x_customhouse_region="eu")
        assert response.status_code == 502
        assert "Every deployment that the route allows" in response.json()["error"]["message"]
        assert provider.asked("backup") == []
        assert {cost["region"] for cost in await tenant.costs()} == {"eu"}

    async def test_without_one_the_next_region_answers(self, tenant: Tenant, provider: ProviderDouble) -> None:
        provider.always(failure(404, code="model_not_found"))
        assert (await post(tenant, "spread")).status_code == 200
        assert [call.provider for call in provider.calls] == ["mock", "backup"]

    async def test_it_may_stand_in_the_metadata(self, tenant: Tenant, provider: ProviderDouble) -> None:
        body = {"model": "spread", "messages": HELLO, "metadata": {"region": "us", "ticket": "17"}}
        response = await tenant.http.post("/v1/chat/completions", json=body)
        assert response.status_code == 200
        assert [call.provider for call in provider.calls] == ["backup"]
        (row,) = await tenant.invocations()
        assert (row["region"], row["labels"]) == ("us", {"ticket": "17"})


@pytest.mark.parametrize("model", ["solo", "slow"])
async def test_a_pause_beyond_the_deadline_is_not_waited_for(
    tenant: Tenant, provider: ProviderDouble, model: str
) -> None:
    provider.always(failure(429, "slow down", retry_after="50"))
    response = await post(tenant, model, x_customhouse_deadline_seconds="20")
    assert (response.status_code, response.headers["retry-after"]) == (429, "50")
    assert len(provider.calls) == 1


@pytest.mark.parametrize("model", ["solo", "slow"])
async def test_a_provider_that_does_not_answer_in_time(tenant: Tenant, provider: ProviderDouble, model: str) -> None:
    provider.always(silence)
    response = await post(tenant, model, x_customhouse_deadline_seconds="0.5")
    assert response.status_code == 504
    assert "deadline of 0.5 s" in response.json()["error"]["message"]
    assert [call.closed for call in provider.calls] == [True], "nothing is begun after the deadline"
    assert all(cost["usage_estimated"] for cost in await tenant.costs())
    (row,) = await tenant.invocations()
    assert row["status"] == "failed"


async def test_the_next_deployment_is_not_given_the_last_ones_answer(tenant: Tenant, provider: ProviderDouble) -> None:
    """Nor what that one was to mend: it is asked what the caller asked."""
    schema = {"type": "object", "required": ["city"]}
    body = {
        "model": "duo",
        "messages": HELLO,
        "response_format": {"type": "json_schema", "json_schema": {"name": "city", "schema": schema}},
    }
    provider.will(whole("{}"), failure(404, "no such model", code="model_not_found"))
    provider.will(whole('{"city": "Oslo"}'), provider="backup")
    response = await tenant.http.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    assert response.json()["choices"][0]["message"]["content"] == '{"city": "Oslo"}'
    (asked,) = provider.asked("backup")
    assert len(asked.body["messages"]) == 1
    assert await attempts(tenant) == [("mock", "succeeded"), ("mock", "failed"), ("backup", "succeeded")]


async def test_what_is_shown_again_is_bounded(tenant: Tenant, provider: ProviderDouble) -> None:
    """An answer of megabytes that misses its schema is too large for Temporal's history."""
    provider.will(whole("x" * 3_000_000), whole("{}"))
    body = {"model": "solo", "messages": HELLO, "response_format": {"type": "json_object"}}
    response = await tenant.http.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    shown = provider.calls[1].body["messages"][1]["content"]
    assert 1_000 < len(shown) < 100_000
