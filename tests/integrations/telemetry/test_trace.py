"""One trace through a real workflow: API root, workflow, local and regular activity, provider call."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, Worker, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from customhouse.integrations.codec import Keys, parse_keys
from customhouse.integrations.telemetry import Telemetry, build_telemetry
from customhouse.integrations.telemetry.interceptor import TraceInterceptor
from customhouse.integrations.temporal_client import connect
from tests.integrations.telemetry.collector import Collector, grpc_collector, values, wait_until
from tests.integrations.telemetry.workflows import AgentInput, AgentWorkflow, TracedInput, TracedWorkflow

INVOCATION = UUID("0199aaaa-bbbb-7ccc-8ddd-eeeeffff0001")


class Activities:
    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    @activity.defn(name="clear")
    async def clear(self, given: TracedInput) -> None:  # noqa: ARG002
        self._telemetry.tracer.start_span("inside clear").end()

    @activity.defn(name="call")
    async def call(self, given: TracedInput) -> str:
        if given.fail:
            raise ApplicationError("the secret prompt", type="refused", non_retryable=True)
        self._telemetry.tracer.start_span("inside call").end()
        return "done"


@pytest.fixture
def collector() -> Any:
    with grpc_collector() as running:
        yield running


@pytest.fixture
async def telemetry(collector: Collector) -> AsyncIterator[Telemetry]:
    built = build_telemetry(collector.settings)
    yield built
    built.shutdown()


def _worker(
    client: Client, queue: str, telemetry: Telemetry, runner: WorkflowRunner | None = None, cached: int = 100
) -> Worker:
    activities = Activities(telemetry)
    return Worker(
        client,
        task_queue=queue,
        workflows=[TracedWorkflow, AgentWorkflow],
        activities=[activities.clear, activities.call],
        workflow_runner=runner or UnsandboxedWorkflowRunner(),
        max_cached_workflows=cached,
    )


@pytest.mark.parametrize(
    ("runner", "cached", "keys"),
    [
        (UnsandboxedWorkflowRunner(), 100, None),
        (SandboxedWorkflowRunner(), 100, None),
        # Each workflow task replays the history, as after a worker's death.
        (UnsandboxedWorkflowRunner(), 0, None),
        (UnsandboxedWorkflowRunner(), 100, parse_keys(base64.b64encode(bytes(32)).decode())),
    ],
    ids=["plain", "sandboxed", "uncached", "encrypted"],
)
async def test_one_trace_with_the_invocations_id(
    temporal_address: str,
    task_queue: str,
    collector: Collector,
    telemetry: Telemetry,
    runner: WorkflowRunner,
    cached: int,
    keys: Keys | None,
) -> None:
    client = await connect(temporal_address, interceptors=telemetry.interceptors, keys=keys)
    caller = "00-11111111111111111111111111111111-2222222222222222-01"
    async with _worker(client, task_queue, telemetry, runner, cached):
        root = telemetry.start_invocation_span("POST /v1/chat/completions", INVOCATION, traceparent=caller)
        with telemetry.current(root, end=True):
            handle = await client.start_workflow(
                TracedWorkflow.run,
                TracedInput(invocation_id=INVOCATION),
                id=task_queue,
                task_queue=task_queue,
                request_eager_start=True,
            )
            assert getattr(handle, "__temporal_eagerly_started", False)
        assert await handle.result() == "done"
    telemetry.flush()

    assert {span.trace_id.hex() for span in collector.spans} == {INVOCATION.hex}
    assert len({span.span_id for span in collector.spans}) == len(collector.spans) == 7
    api = collector.span("POST /v1/chat/completions")
    assert api.parent_span_id == b""
    assert (api.links[0].trace_id.hex(), api.links[0].span_id.hex()) == ("1" * 32, "2" * 16)
    run = collector.span("RunWorkflow:TracedWorkflow")
    clear, call = collector.span("RunActivity:clear"), collector.span("RunActivity:call")
    assert collector.span("StartWorkflow:TracedWorkflow").parent_span_id == api.span_id
    assert run.parent_span_id == api.span_id
    assert clear.parent_span_id == call.parent_span_id == run.span_id
    assert collector.span("inside clear").parent_span_id == clear.span_id
    assert collector.span("inside call").parent_span_id == call.span_id
    assert run.start_time_unix_nano <= clear.start_time_unix_nano <= clear.end_time_unix_nano <= run.end_time_unix_nano
    assert values(clear.attributes)["customhouse.activity.local"] is True
    assert values(call.attributes)["customhouse.activity.local"] is False


async def test_a_replay_writes_no_span_again(
    temporal_address: str, task_queue: str, collector: Collector, telemetry: Telemetry
) -> None:
    client = await connect(temporal_address, interceptors=telemetry.interceptors)
    async with _worker(client, task_queue, telemetry):
        handle = await client.start_workflow(
            TracedWorkflow.run, TracedInput(invocation_id=INVOCATION), id=task_queue, task_queue=task_queue
        )
        await handle.result()
    telemetry.flush()
    before = len(collector.spans)

    replayer = Replayer(
        workflows=[TracedWorkflow],
        workflow_runner=UnsandboxedWorkflowRunner(),
        data_converter=client.data_converter,
        interceptors=[i for i in telemetry.interceptors if isinstance(i, TraceInterceptor)],
    )
    await replayer.replay_workflow(await handle.fetch_history())
    telemetry.flush()
    assert len(collector.spans) == before


async def test_a_client_without_tracing_gets_the_same_trace_id(
    temporal_address: str, task_queue: str, collector: Collector, telemetry: Telemetry
) -> None:
    plain = await connect(temporal_address)
    async with _worker(await connect(temporal_address, interceptors=telemetry.interceptors), task_queue, telemetry):
        await plain.execute_workflow(
            TracedWorkflow.run, TracedInput(invocation_id=INVOCATION), id=task_queue, task_queue=task_queue
        )
    telemetry.flush()
    run = collector.span("RunWorkflow:TracedWorkflow")
    assert run.trace_id.hex() == INVOCATION.hex
    assert run.parent_span_id == b""
    assert collector.span("RunActivity:clear").parent_span_id == run.span_id


async def test_a_childs_trace_is_its_own_and_linked_to_the_agents(
    temporal_address: str, task_queue: str, collector: Collector, telemetry: Telemetry
) -> None:
    child = UUID("0199aaaa-bbbb-7ccc-8ddd-eeeeffff0002")
    client = await connect(temporal_address, interceptors=telemetry.interceptors)
    async with _worker(client, task_queue, telemetry):
        await client.execute_workflow(
            AgentWorkflow.run, AgentInput(child=TracedInput(invocation_id=child)), id=task_queue, task_queue=task_queue
        )
    telemetry.flush()
    agent, run = collector.span("RunWorkflow:AgentWorkflow"), collector.span("RunWorkflow:TracedWorkflow")
    assert run.trace_id.hex() == child.hex
    assert run.parent_span_id == b""
    assert (run.links[0].trace_id, run.links[0].span_id) == (agent.trace_id, agent.span_id)


async def test_a_failure_is_told_by_its_type_and_without_content(
    temporal_address: str, task_queue: str, collector: Collector, telemetry: Telemetry
) -> None:
    client = await connect(temporal_address, interceptors=telemetry.interceptors)
    async with _worker(client, task_queue, telemetry):
        handle = await client.start_workflow(
            TracedWorkflow.run, TracedInput(invocation_id=INVOCATION, fail=True), id=task_queue, task_queue=task_queue
        )
        with pytest.raises(Exception, match="failed"):
            await handle.result()
    wait_until(lambda: any(s.name.startswith("RunWorkflow") for s in collector.spans))
    call = collector.span("RunActivity:call")
    assert values(call.attributes)["error.type"] == "refused"
    assert call.status.code == 2
    assert values(collector.span("RunWorkflow:TracedWorkflow").attributes)["error.type"] == "ActivityError"
    assert b"secret" not in b"".join(request.SerializeToString() for request in collector.requests)
