"""The Temporal Schedules that a worker makes sure of when it starts."""

from __future__ import annotations

from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
)

from customhouse.contracts.timing import DRIFT_INTERVAL, HOUSEKEEPING_INTERVAL
from workflows.drift_watch import DriftWatch
from workflows.housekeeping import Housekeeping


async def ensure_schedules(client: Client, task_queue: str) -> None:
    """Of each one a task queue. A schedule that is there stays as it is: an operator may have paused or changed it."""
    housekeeping = ScheduleActionStartWorkflow(
        Housekeeping.run,
        id=f"{task_queue}-housekeeping",
        task_queue=task_queue,
        static_summary="partitions, and abandoned invocations",
    )
    await _ensure(client, housekeeping, HOUSEKEEPING_INTERVAL)
    drift_watch = ScheduleActionStartWorkflow(
        DriftWatch.run,
        id=f"{task_queue}-drift-watch",
        task_queue=task_queue,
        static_summary="live scores of the abuse model beside the training's",
    )
    await _ensure(client, drift_watch, DRIFT_INTERVAL)


async def _ensure(client: Client, action: ScheduleActionStartWorkflow, every: timedelta) -> None:
    schedule = Schedule(
        action=action,
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)]),
        # After an outage one run makes up for all that were missed.
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=every),
    )
    try:
        await client.create_schedule(action.id, schedule)
    except ScheduleAlreadyRunningError:
        return
