"""The Temporal worker that runs invocations."""

from __future__ import annotations

from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker, WorkerTuner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from customhouse.contracts.timing import CALL_HEARTBEAT, DRAIN_TIMEOUT
from workers.compose import Parts
from workers.inline_executor import InlineExecutor
from workflows.drift_watch import DriftWatch
from workflows.governed_invocation import GovernedInvocation
from workflows.housekeeping import Housekeeping

SLOTS = 200
"""Invocations that one process works on at once. Most of them wait for a provider."""

CACHED_WORKFLOWS = 500
"""Workflows kept in memory between their tasks; about 50 KB each."""

POLLERS = 2
"""Long polls for workflow tasks. With eager starts most tasks come back with the start itself; more only cost CPU."""


def invocation_worker(parts: Parts) -> Worker:
    """Runs `GovernedInvocation` and all its activities, from the invocations' own task queue."""
    settings = parts.settings
    return Worker(
        parts.temporal,
        task_queue=settings.task_queue,
        workflows=[GovernedInvocation, Housekeeping, DriftWatch],
        activities=[
            parts.begin.begin,
            parts.call.call,
            parts.record.record,
            parts.record.close,
            parts.housekeeping.make_partitions,
            parts.housekeeping.close_abandoned,
            parts.drift.watch_drift,
        ],
        workflow_runner=SandboxedWorkflowRunner() if settings.sandbox else UnsandboxedWorkflowRunner(),
        workflow_task_executor=None if settings.sandbox else InlineExecutor(max_workers=1),
        tuner=WorkerTuner.create_fixed(
            workflow_slots=SLOTS, activity_slots=SLOTS, local_activity_slots=SLOTS, nexus_slots=1
        ),
        max_cached_workflows=CACHED_WORKFLOWS,
        max_concurrent_workflow_task_polls=POLLERS,
        max_concurrent_activity_task_polls=POLLERS,
        # By itself the SDK would pass on a beat only every 4 s, and cancels come back with a beat.
        max_heartbeat_throttle_interval=CALL_HEARTBEAT,
        graceful_shutdown_timeout=DRAIN_TIMEOUT,
    )


def queue_worker(client: Client, queue: str, parts: Parts) -> Worker:
    """Makes the provider calls of deployments that name their own task queue, such as those in one region."""
    return Worker(
        client,
        task_queue=queue,
        activities=[parts.call.call],
        tuner=WorkerTuner.create_fixed(workflow_slots=1, activity_slots=SLOTS, local_activity_slots=1, nexus_slots=1),
        max_concurrent_activity_task_polls=POLLERS,
        # By itself the SDK would pass on a beat only every 4 s, and cancels come back with a beat.
        max_heartbeat_throttle_interval=CALL_HEARTBEAT,
        graceful_shutdown_timeout=DRAIN_TIMEOUT,
    )
