"""One governed call, from request to answer."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError
from temporalio import workflow
from temporalio.common import SearchAttributeUpdate
from temporalio.exceptions import ApplicationError, FailureError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from temporalio.contrib.workflow_streams import WorkflowStream

    from activities.begin import BeginActivity
    from activities.failures import uninterrupted
    from activities.record import RecordActivity
    from customhouse.contracts import search_attributes as names
    from customhouse.contracts.errors import ErrorRecord, InvocationCancelled, InvocationFailed
    from customhouse.contracts.governance import Verdict
    from customhouse.contracts.invocation import (
        Begun,
        CloseInput,
        Decision,
        InvocationInput,
        InvocationResult,
        InvocationStatus,
        RecordInput,
    )
    from customhouse.contracts.timing import CALL_MARGIN, DATABASE_STEP_RETRY, DATABASE_STEP_TIMEOUT, RECORD_PATIENCE
    from customhouse.governance.endings import Ending, cancelled, with_answer
    from workflows.calls import Calls


# Input that is none of ours fails the workflow: a failed workflow task would be tried again for ever.
@workflow.defn(name="GovernedInvocation", failure_exception_types=[ValidationError, TypeError, AttributeError])
class GovernedInvocation:
    """begin (clear, and the first call in the local lane) → further calls along the frozen route → record.

    Decisions are made in activities and stand in history.
    """

    @workflow.init
    def __init__(self, invocation: InvocationInput) -> None:
        # Only where somebody reads the stream through Temporal: its signals cost history.
        self._stream = WorkflowStream() if invocation.stream_through_workflow else None

    @workflow.run
    async def run(self, invocation: InvocationInput) -> InvocationResult:
        deadline = workflow.info().start_time + timedelta(seconds=invocation.deadline_s)
        begun = await self._begin(invocation)
        result = begun.result or await self._go_on(invocation, begun, deadline)
        _label(result)
        if self._stream is not None:
            # Readers get what is there and come back once the run has closed, for the rest.
            self._stream.detach_pollers()
            await uninterrupted(workflow.wait_condition(workflow.all_handlers_finished))
        return _returned(result)

    async def _go_on(self, invocation: InvocationInput, begun: Begun, deadline: datetime) -> InvocationResult:
        """What `begin` could not end by itself: refusals, other lanes, retries, repairs, further deployments."""
        decision = begun.decision
        if decision is None:
            raise ApplicationError("`begin` returned neither a result nor a decision.", non_retryable=True)
        invocation = invocation.model_copy(update={"invocation_id": decision.invocation_id})
        if decision.error is not None:
            blocked = decision.verdict is Verdict.BLOCK
            status = InvocationStatus.BLOCKED if blocked else InvocationStatus.FAILED
            ending = Ending(status, error=decision.error)
        else:
            try:
                ending = await Calls(invocation, decision, begun, deadline).along_the_route()
            except asyncio.CancelledError:
                ending = cancelled(None)  # between two attempts: nothing is being spent
        outcome = ending.outcome
        recorded = outcome.recorded if outcome is not None else None
        result = recorded or await self._record(invocation, decision, ending)
        return result if outcome is None else with_answer(result, outcome)

    async def _begin(self, invocation: InvocationInput) -> Begun:
        deadline = timedelta(seconds=invocation.deadline_s) + CALL_MARGIN
        try:
            return await workflow.execute_local_activity_method(
                BeginActivity.begin,
                invocation,
                schedule_to_close_timeout=deadline,
                retry_policy=DATABASE_STEP_RETRY,
                cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
                summary=f"clear, and call {invocation.model}",
            )
        except FailureError as failure:
            # A local activity's failure is not wrapped in an ActivityError.
            if is_cancelled_exception(failure):
                error = InvocationCancelled("The invocation was cancelled before anything was decided.")
                await self._close(invocation, InvocationStatus.CANCELLED, error.to_record())
                raise
            if isinstance(failure, ApplicationError) and failure.details:
                await self._close(invocation, InvocationStatus.FAILED, ErrorRecord.model_validate(failure.details[0]))
                raise
            unclear = InvocationFailed(f"The request could not be cleared: {failure}")
            await self._close(invocation, InvocationStatus.FAILED, unclear.to_record())
            raise ApplicationError(unclear.message, type=unclear.code, non_retryable=True) from failure

    async def _close(self, invocation: InvocationInput, status: InvocationStatus, error: ErrorRecord) -> None:
        """Nothing was decided; where a row stands already, it must say how it ended."""
        await uninterrupted(
            workflow.execute_local_activity_method(
                RecordActivity.close,
                CloseInput(invocation=invocation, status=status, error=error),
                start_to_close_timeout=DATABASE_STEP_TIMEOUT,
                schedule_to_close_timeout=RECORD_PATIENCE,
                retry_policy=DATABASE_STEP_RETRY,
                summary=f"close: {status}",
            )
        )

    async def _record(self, invocation: InvocationInput, decision: Decision, ending: Ending) -> InvocationResult:
        """Shielded from cancels: what was spent is recorded whatever comes."""
        return await uninterrupted(
            workflow.execute_local_activity_method(
                RecordActivity.record,
                RecordInput(
                    invocation=invocation,
                    decision=decision,
                    outcome=ending.outcome,
                    status=ending.status,
                    error=ending.error,
                ),
                start_to_close_timeout=DATABASE_STEP_TIMEOUT,
                schedule_to_close_timeout=RECORD_PATIENCE,
                retry_policy=DATABASE_STEP_RETRY,
                summary=f"record: {ending.status}",
            )
        )


def _label(result: InvocationResult) -> None:
    """Search attributes: what operators filter by in the Temporal Web UI. Decisions only, never content."""
    updates: list[SearchAttributeUpdate[Any]] = [
        names.STATUS.value_set(result.status.value),
        names.VERDICT.value_set(result.verdict.value),
        names.POLICY_VERSION.value_set(result.policy_version),
    ]
    if result.deployment_id is not None:
        updates.append(names.REGION.value_set(result.deployment_id.rpartition("@")[2]))
    if result.usd_cost is not None:
        updates.append(names.COST_USD.value_set(float(result.usd_cost)))
    workflow.upsert_search_attributes(updates)


def _returned(result: InvocationResult) -> InvocationResult:
    """A failed or cancelled invocation shows as such in Temporal too; a blocked one has done what it should."""
    if result.status in (InvocationStatus.COMPLETED, InvocationStatus.BLOCKED):
        return result
    if result.status is InvocationStatus.CANCELLED and workflow.cancellation_reason() is not None:
        raise asyncio.CancelledError
    error = result.error
    raise ApplicationError(
        error.message if error is not None else f"The invocation ended as {result.status}.",
        result,
        type=error.code if error is not None else InvocationFailed.code,
        non_retryable=True,
    )
