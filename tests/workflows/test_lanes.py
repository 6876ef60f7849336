"""Both lanes of `call`, a task queue of its own, and cancels that reach the provider in each."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError, RetryState, TimeoutType
from temporalio.exceptions import TimeoutError as ActivityTimeout

from customhouse.client import CustomhouseClient, invocation_input
from customhouse.contracts.chat import ChatRequest, Json
from customhouse.contracts.errors import FailureKind, InvocationCancelled
from customhouse.contracts.identity import workflow_id
from customhouse.contracts.invocation import Caller, Lane, RouteStep
from tests.doubles.house import House, Tenant, running_house, until
from tests.doubles.provider import ProviderDouble, after, hello, silence, stream
from workers.invocation_worker import queue_worker
from workflows.calls import _recorded

HELLO: Any = [{"role": "user", "content": "Say hello."}]
LANES = pytest.mark.parametrize("model", ["solo", "slow"], ids=["local", "regular"])


async def lanes_of(tenant: Tenant) -> list[str]:
    rows = await tenant.rows("SELECT lane FROM attempts WHERE organization_id = :organization_id ORDER BY started_at")
    return [row["lane"] for row in rows]


async def post(tenant: Tenant, model: str, **more: Any) -> Any:
    return await tenant.http.post("/v1/chat/completions", json={"model": model, "messages": HELLO, **more})


async def test_the_catalog_may_fix_the_lane(tenant: Tenant) -> None:
    for model in ("solo", "slow"):
        assert (await post(tenant, model)).status_code == 200
    assert await lanes_of(tenant) == ["local", "regular"]


async def test_a_deployment_that_proves_fast_goes_local(
    database_url: str, temporal_address: str, task_queue: str, provider: ProviderDouble
) -> None:
    catalog = """
providers: [{{name: mock, kind: openai, base_url: "{mock}"}}]
deployments: [{{model: auto, provider: mock}}]
"""
    async with running_house(database_url, temporal_address, provider, task_queue, catalog=catalog) as house:
        tenant = await house.tenant()
        for _ in range(4):
            assert (await post(tenant, "auto")).status_code == 200
        assert await lanes_of(tenant) == ["regular", "regular", "regular", "local"]


async def test_a_task_queue_of_its_own(house: House, tenant: Tenant, provider: ProviderDouble) -> None:
    asking = asyncio.create_task(post(tenant, "elsewhere"))
    queue = f"{house.parts.settings.task_queue}-own"
    async with queue_worker(house.parts.temporal, queue, house.parts):
        assert (await asking).status_code == 200
    assert len(provider.calls) == 1
    (row,) = await tenant.invocations()
    history = await house.parts.temporal.get_workflow_handle(row["workflow_id"]).fetch_history()
    queues = [
        event.activity_task_scheduled_event_attributes.task_queue.name
        for event in history.events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    assert queues == [queue]


class TestWhatACallFailedWith:
    STEP = RouteStep(
        deployment_id="m@p@eu",
        model="m",
        provider="p",
        region="eu",
        lane=Lane.REGULAR,
        task_queue="eu-calls",
        timeout_s=60,
        reason="",
    )

    def failed(self, cause: BaseException) -> ActivityError:
        error = ActivityError(
            "activity failed",
            scheduled_event_id=1,
            started_event_id=2,
            identity="",
            activity_type="call",
            activity_id="1",
            retry_state=RetryState.TIMEOUT,
        )
        error.__cause__ = cause
        return error

    def test_no_worker_took_it(self) -> None:
        timeout = ActivityTimeout("no worker", type=TimeoutType.SCHEDULE_TO_START, last_heartbeat_details=[])
        record = _recorded(self.failed(timeout), self.STEP)
        assert record.code == "no_worker"
        assert "customhouse worker --queue eu-calls" in record.message
        assert record.kind is FailureKind.RETRYABLE

    @pytest.mark.parametrize("kind", [TimeoutType.HEARTBEAT, TimeoutType.START_TO_CLOSE, TimeoutType.SCHEDULE_TO_CLOSE])
    def test_it_took_too_long(self, kind: TimeoutType) -> None:
        timeout = ActivityTimeout("late", type=kind, last_heartbeat_details=[])
        for failure in (self.failed(timeout), timeout):
            assert _recorded(failure, self.STEP).code == "attempt_timed_out"

    def test_a_failure_without_a_record(self) -> None:
        for failure in (self.failed(ApplicationError("strange")), ApplicationError("strange")):
            record = _recorded(failure, self.STEP)
            assert (record.code, record.status) == ("attempt_failed", 502)
            assert "strange" in record.message


class TestCancel:
    @LANES
    async def test_by_rest(self, tenant: Tenant, provider: ProviderDouble, model: str) -> None:
        provider.will(silence)
        asking = asyncio.create_task(post(tenant, model))
        await until(lambda: bool(provider.calls))
        (row,) = await tenant.invocations()
        response = await tenant.http.post(f"/api/v1/invocations/{row['id']}/cancel", json={"reason": "changed my mind"})
        assert response.status_code == 202
        answer = await asking
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "invocation_cancelled")
        assert "changed my mind" in answer.json()["error"]["message"]
        assert provider.calls[0].closed
        (row,) = await tenant.ended()
        assert row["status"] == "cancelled"
        (cost,) = await tenant.costs()
        assert (cost["attempt_status"], cost["usage_estimated"]) == ("cancelled", True)
        assert cost["usd_cost"] > 0
        assert len(provider.calls) == 1
        again = await tenant.http.post(f"/api/v1/invocations/{row['id']}/cancel")
        assert again.status_code == 409

    @LANES
    async def test_what_a_stream_spent_until_then_is_charged(
        self, tenant: Tenant, provider: ProviderDouble, model: str
    ) -> None:
        provider.will(stream(*(f"word{n} " for n in range(500)), asyncio.Event()))
        async with tenant.http.stream(
            "POST", "/v1/chat/completions", json={"model": model, "messages": HELLO, "stream": True}
        ) as response:
            identity = response.headers["x-customhouse-invocation-id"]
            await tenant.http.post(f"/api/v1/invocations/{identity}/cancel")
            text = (await response.aread()).decode()
        assert "invocation_cancelled" in text
        assert "[DONE]" not in text
        assert provider.calls[0].closed
        (cost,) = await tenant.costs()
        assert cost["tokens_output"] > 100

    @LANES
    async def test_through_temporal(self, house: House, tenant: Tenant, provider: ProviderDouble, model: str) -> None:
        provider.will(silence)
        client = CustomhouseClient(
            house.parts.temporal, tenant.organization_id, task_queue=house.parts.settings.task_queue
        )
        request = ChatRequest.model_validate({"model": model, "messages": HELLO})
        handle = await client.start(request)
        await until(lambda: bool(provider.calls))
        await handle.cancel()
        with pytest.raises(InvocationCancelled):
            await handle.result()
        assert provider.calls[0].closed
        (row,) = await tenant.ended()
        assert row["status"] == "cancelled"
        (cost,) = await tenant.costs()
        assert cost["attempt_status"] == "cancelled"

    @LANES
    async def test_by_rest_in_another_process(
        self,
        house: House,
        tenant: Tenant,
        provider: ProviderDouble,
        temporal_address: str,
        model: str,
    ) -> None:
        """The API that takes the cancel makes no provider calls itself."""
        provider.will(silence)
        assert house.parts.settings.database_url is not None
        async with running_house(
            house.parts.settings.database_url.get_secret_value(),
            temporal_address,
            provider,
            house.parts.settings.task_queue,
            worker=False,
        ) as other:
            there = Tenant(other, tenant.organization_id, tenant.secret, tenant.key_id)
            accepted = await there.http.post(
                "/api/v1/invocations", json={"request": {"model": model, "messages": HELLO}, "wait": False}
            )
            assert accepted.status_code == 202, accepted.text
            await until(lambda: bool(provider.calls))
            cancelled = await there.http.post(f"{accepted.headers['location']}/cancel")
            assert cancelled.status_code == 202
            (row,) = await tenant.ended()
        assert row["status"] == "cancelled"
        assert provider.calls[0].closed

    async def test_before_the_call_begins(self, tenant: Tenant, provider: ProviderDouble) -> None:
        gate = asyncio.Event()
        provider.will(after(gate, hello))
        accepted = await tenant.http.post(
            "/api/v1/invocations", json={"request": {"model": "slow", "messages": HELLO}, "wait": False}
        )
        # Its row comes with `clear`, so a cancel may come too soon to find it.
        path = f"{accepted.headers['location']}/cancel"
        await until(lambda: _is_taken(tenant, path))
        (row,) = await tenant.ended()
        assert row["status"] == "cancelled"
        gate.set()

    async def test_before_anything_was_decided_ends_its_row(
        self, house: House, tenant: Tenant, provider: ProviderDouble
    ) -> None:
        """`begin` is cancelled amid `clear`, which waits for the row's lock."""
        request = ChatRequest.model_validate({"model": "solo", "messages": HELLO})
        invocation = invocation_input(request, Caller(organization_id=tenant.organization_id))
        identity = workflow_id(tenant.organization_id, invocation.idempotency_key)
        await house.parts.ledger.accept(invocation, identity)

        async def is_waiting(statement: str) -> bool:
            rows = await house.rows(
                "SELECT query FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE :statement",
                statement=f"{statement}%",
            )
            return bool(rows)

        async with house.parts.engine.begin() as connection:
            await connection.execute(
                text("SELECT FROM invocations WHERE id = :id FOR UPDATE"), {"id": invocation.invocation_id}
            )
            handle = await house.parts.temporal.start_workflow(
                "GovernedInvocation",
                invocation,
                id=identity,
                task_queue=house.parts.settings.task_queue,
                task_timeout=timedelta(seconds=1),  # Temporal tells a local activity of its cancel within this
            )
            await until(lambda: is_waiting("WITH cleared"))
            await handle.cancel()
            await until(lambda: is_waiting("WITH closed"))
        with pytest.raises(WorkflowFailureError) as caught:
            async with asyncio.timeout(20):
                await handle.result()
        assert isinstance(caught.value.cause, CancelledError)
        (row,) = await tenant.invocations()
        assert (row["status"], row["error"]["code"]) == ("cancelled", "invocation_cancelled")
        assert row["finished_at"] is not None
        assert provider.calls == []


async def _is_taken(tenant: Tenant, path: str) -> bool:
    response = await tenant.http.post(path)
    assert response.status_code in (202, 404), response.text
    return response.status_code == 202


async def test_a_cancelled_workflow_shows_as_cancelled_in_temporal(
    house: House, tenant: Tenant, provider: ProviderDouble
) -> None:
    provider.will(silence)
    client = CustomhouseClient(house.parts.temporal, tenant.organization_id, task_queue=house.parts.settings.task_queue)
    body: Json = {"model": "slow", "messages": HELLO}
    handle = await client.start(ChatRequest.model_validate(body))
    await until(lambda: bool(provider.calls))
    await handle.cancel()
    with pytest.raises(WorkflowFailureError) as caught:
        await handle.workflow.result()
    assert isinstance(caught.value.cause, CancelledError)
