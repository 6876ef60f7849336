"""The Temporal Schedules that a worker makes sure of when it starts."""

from __future__ import annotations

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

from customhouse.contracts.timing import HOUSEKEEPING_INTERVAL
from workflows.housekeeping import Housekeeping


async def ensure_schedules(client: Client, task_queue: str) -> None:
    """One a task queue. A schedule that is there stays as it is: an operator may have paused or changed it."""
    identity = f"{task_queue}-housekeeping"
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            Housekeeping.run,
            id=identity,
            task_queue=task_queue,
            static_summary="partitions, and abandoned invocations",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=HOUSEKEEPING_INTERVAL)]),
        # After an outage one run makes up for all that were missed.
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=HOUSEKEEPING_INTERVAL),
    )
    try:
        await client.create_schedule(identity, schedule)
    except ScheduleAlreadyRunningError:
        return
