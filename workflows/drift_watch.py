"""Runs by a Temporal Schedule, every hour."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.drift import DriftActivity
    from customhouse.contracts.housekeeping import DriftResult
    from customhouse.contracts.timing import DRIFT_STEP_HEARTBEAT, DRIFT_STEP_TIMEOUT, HOUSEKEEPING_RETRY


@workflow.defn(name="DriftWatch")
class DriftWatch:
    """Whether the abuse model's scores still look like the training's."""

    @workflow.run
    async def run(self) -> DriftResult:
        return await workflow.execute_activity_method(
            DriftActivity.watch_drift,
            start_to_close_timeout=DRIFT_STEP_TIMEOUT,
            heartbeat_timeout=DRIFT_STEP_HEARTBEAT,
            retry_policy=HOUSEKEEPING_RETRY,
            summary="compare the abuse model's live scores with the training's",
        )
