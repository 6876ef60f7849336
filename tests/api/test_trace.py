"""One trace through API, workflow, activities and provider call, at a real OTLP receiver; and none where it is down."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from tests.doubles.house import House, running_house, until
from tests.doubles.provider import ProviderDouble
from tests.doubles.sse import reading
from tests.integrations.telemetry.collector import Collector, grpc_collector, refusing_collector, values
from tests.stack import fresh_database
from workers.embedded.postgres import Postgres

HELLO: Any = [{"role": "user", "content": "Say hello, secretly."}]


@pytest.fixture(scope="module")
async def watched(
    postgres: Postgres, temporal_address: str, shared_provider: ProviderDouble
) -> AsyncIterator[tuple[House, Collector]]:
    with grpc_collector() as collector:
        async with (
            fresh_database(postgres) as url,
            running_house(
                url, temporal_address, shared_provider, f"traced-{uuid4().hex}", otlp_endpoint=collector.endpoint
            ) as house,
        ):
            yield house, collector


@pytest.mark.parametrize("model", ["solo", "slow"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_one_trace_with_the_invocations_id(
    watched: tuple[House, Collector], provider: ProviderDouble, model: str, streamed: bool
) -> None:
    house, collector = watched
    tenant = await house.tenant()
    caller = "00-11111111111111111111111111111111-2222222222222222-01"
    body = {"model": model, "messages": HELLO, "stream": streamed}
    headers = {"traceparent": caller, "x-customhouse-agent": "bot"}
    async with reading(tenant.http, "POST", "/v1/chat/completions", json=body, headers=headers) as events:
        trace_id = events.response.headers["x-customhouse-trace-id"]
        await events.response.aread()

    def spans() -> dict[str, Any]:
        house.parts.telemetry.flush()
        return {span.name: span for span in collector.spans if span.trace_id.hex() == trace_id}

    activity = "RunActivity:begin" if model == "solo" else "RunActivity:call"
    names = {f"invocation {model}", "RunWorkflow:GovernedInvocation", "RunActivity:begin", activity, f"chat {model}"}
    await until(lambda: names <= set(spans()))
    mine = spans()
    root, run = mine[f"invocation {model}"], mine["RunWorkflow:GovernedInvocation"]
    assert root.parent_span_id == b""
    assert (root.links[0].trace_id.hex(), root.links[0].span_id.hex()) == ("1" * 32, "2" * 16)
    assert run.parent_span_id == root.span_id
    assert mine["RunActivity:begin"].parent_span_id == mine[activity].parent_span_id == run.span_id
    chat = mine[f"chat {model}"]
    assert chat.parent_span_id == mine[activity].span_id
    told = values(chat.attributes)
    assert (told["gen_ai.request.model"], told["gen_ai.usage.input_tokens"]) == (model, 11)
    assert "secretly" not in str(mine), "content stays out of telemetry"
    (asked,) = provider.calls
    assert asked.headers.get("traceparent", trace_id).find(trace_id) >= 0
    (row,) = await tenant.invocations()
    assert row["id"].hex == trace_id


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_a_collector_that_is_down_breaks_nothing(
    database_url: str, temporal_address: str, task_queue: str, provider: ProviderDouble, protocol: str
) -> None:
    with refusing_collector(protocol) as nobody:
        async with running_house(
            database_url,
            temporal_address,
            provider,
            task_queue,
            otlp_endpoint=nobody.endpoint,
            otlp_protocol=protocol,
        ) as house:
            tenant = await house.tenant()
            for _ in range(3):
                response = await tenant.http.post("/v1/chat/completions", json={"model": "solo", "messages": HELLO})
                assert response.status_code == 200
