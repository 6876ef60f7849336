"""Runs by a Temporal Schedule, every ten minutes."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.housekeeping import HousekeepingActivity
    from customhouse.contracts.housekeeping import HousekeepingResult
    from customhouse.contracts.timing import HOUSEKEEPING_RETRY, HOUSEKEEPING_STEP_HEARTBEAT, HOUSEKEEPING_STEP_TIMEOUT


@workflow.defn(name="Housekeeping")
class Housekeeping:
    """Next months' partitions, then the invocations that nobody works on any more."""

    @workflow.run
    async def run(self) -> HousekeepingResult:
        made = await workflow.execute_activity_method(
            HousekeepingActivity.make_partitions,
            start_to_close_timeout=HOUSEKEEPING_STEP_TIMEOUT,
            retry_policy=HOUSEKEEPING_RETRY,
            summary="make the log tables' next partitions",
        )
        invocations = await workflow.execute_activity_method(
            HousekeepingActivity.close_abandoned,
            start_to_close_timeout=HOUSEKEEPING_STEP_TIMEOUT,
            heartbeat_timeout=HOUSEKEEPING_STEP_HEARTBEAT,
            retry_policy=HOUSEKEEPING_RETRY,
            summary="end the rows of invocations whose workflow is gone",
        )
        return HousekeepingResult(partitions_made=made, invocations=invocations)
