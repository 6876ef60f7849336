"""The attempts of one invocation: along its frozen route, with Temporal's retries, until the deadline."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, TimeoutType, is_cancelled_exception
from temporalio.exceptions import TimeoutError as ActivityTimeout

with workflow.unsafe.imports_passed_through():
    from activities.call import CallActivity
    from customhouse.contracts.errors import (
        BUDGET_REFUSALS,
        STREAM_BROKEN,
        ErrorRecord,
        FailureKind,
        InvocationFailed,
        InvocationTimedOut,
    )
    from customhouse.contracts.invocation import (
        AttemptOutcome,
        Begun,
        CallInput,
        Decision,
        InvocationInput,
        InvocationStatus,
        Lane,
        Repair,
        RouteStep,
    )
    from customhouse.contracts.timing import (
        CALL_HEARTBEAT_TIMEOUT,
        CALL_MARGIN,
        CALL_RETRY,
        LOCAL_BACKOFF_LIMIT,
        QUEUE_PATIENCE,
    )
    from customhouse.governance.endings import Ending, cancelled, ending_of


class Calls:
    """Makes the attempts. Nothing here leaves the route that `clear` froze."""

    def __init__(self, invocation: InvocationInput, decision: Decision, begun: Begun, deadline: datetime) -> None:
        self._invocation = invocation
        self._begun = begun
        self._decision = decision
        self._deadline = deadline
        self._spent = 0
        """Attempts up to this number have answered, and not well: none of them is to be taken for the next one's."""

    async def along_the_route(self) -> Ending:
        """Call until there is an answer, the route is used up, nothing can help, or the deadline has passed."""
        failures: list[ErrorRecord] = []
        for index, step in enumerate(self._decision.route):
            if self._remaining() <= timedelta(0):
                break
            begun = self._begun if index == 0 else Begun()
            if begun.failure is not None and begun.retry_after_s is None:
                failures.append(begun.failure)
                if begun.failure.kind is FailureKind.TERMINAL:
                    break
                continue
            try:
                outcome = await self._with_repairs(step, begun)
            except FailureError as failure:
                if is_cancelled_exception(failure):
                    return cancelled(None)
                failures.append(_recorded(failure, step))
                if failures[-1].kind is FailureKind.TERMINAL:
                    break
                continue
            return ending_of(outcome)
        return self._failed(failures)

    async def _with_repairs(self, step: RouteStep, begun: Begun) -> AttemptOutcome:
        """One deployment; an answer that misses its schema is asked for again, a bounded number of times."""
        left = self._decision.max_repairs
        if begun.outcome is not None:
            outcome = begun.outcome
        else:
            if begun.retry_after_s is not None:
                await workflow.sleep(min(begun.retry_after_s, self._remaining().total_seconds()))
            tries = CALL_RETRY.maximum_attempts - (begun.failure is not None)
            outcome = await self._attempt(step, repair=None, repairs_left=left, tries=tries)
        while outcome.repair is not None and left > 0 and self._remaining() > timedelta(0):
            left -= 1
            self._spent = outcome.number
            outcome = await self._attempt(step, repair=outcome.repair, repairs_left=left)
        return outcome

    async def _attempt(
        self,
        step: RouteStep,
        *,
        repair: Repair | None,
        repairs_left: int,
        tries: int = CALL_RETRY.maximum_attempts,
    ) -> AttemptOutcome:
        retry = replace(CALL_RETRY, maximum_attempts=tries)
        remaining = self._remaining()
        timeout = min(timedelta(seconds=step.timeout_s), remaining)
        call = CallInput(
            invocation=self._invocation,
            step=step,
            decision=self._decision,
            after_attempt=self._spent,
            timeout_s=timeout.total_seconds(),
            repair=repair,
            repairs_left=repairs_left,
        )
        if step.lane is Lane.LOCAL:
            return await workflow.execute_local_activity_method(
                CallActivity.call,
                call,
                start_to_close_timeout=timeout + CALL_MARGIN,
                schedule_to_close_timeout=remaining + CALL_MARGIN,
                retry_policy=retry,
                local_retry_threshold=LOCAL_BACKOFF_LIMIT,
                cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
                summary=f"call {step.deployment_id}, inspect, record",
            )
        return await workflow.execute_activity_method(
            CallActivity.call,
            call,
            task_queue=step.task_queue,
            start_to_close_timeout=timeout + CALL_MARGIN,
            schedule_to_start_timeout=QUEUE_PATIENCE,
            schedule_to_close_timeout=remaining + CALL_MARGIN,
            heartbeat_timeout=CALL_HEARTBEAT_TIMEOUT,
            retry_policy=retry,
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=f"call {step.deployment_id}",
        )

    def _remaining(self) -> timedelta:
        return self._deadline - workflow.now()

    def _failed(self, failures: list[ErrorRecord]) -> Ending:
        tried = "; ".join(failure.message for failure in failures) or "no deployment was tried"
        if self._remaining() <= CALL_RETRY.initial_interval:  # too little is left for another try
            error: InvocationFailed = InvocationTimedOut(
                f"No answer within the deadline of {self._invocation.deadline_s:g} s ({tried}). "
                "Send it again with a longer deadline, or ask for a faster model."
            )
        else:
            error = InvocationFailed(f"Every deployment that the route allows has failed: {tried}")
        record = error.to_record()
        if failures:
            last = failures[-1]
            told = {"provider_status": last.provider_status, "retry_after_s": last.retry_after_s}
            record = record.model_copy(update={**told, **_callers_part(last)})
        return Ending(InvocationStatus.FAILED, error=record)


def _recorded(failure: FailureError, step: RouteStep) -> ErrorRecord:
    """What `call` failed with. Its own errors carry their record; Temporal's time-outs are named here."""
    # A regular activity's failure comes wrapped in an ActivityError, a local one's as it is.
    cause = failure.cause if isinstance(failure, ActivityError) else failure
    if isinstance(cause, ApplicationError) and cause.details:
        return ErrorRecord.model_validate(cause.details[0])
    kind = FailureKind.RETRYABLE
    if isinstance(cause, ActivityTimeout) and cause.type is TimeoutType.SCHEDULE_TO_START:
        queue = step.task_queue or workflow.info().task_queue
        message = (
            f"{step.deployment_id}: no worker took the call from task queue {queue!r} within "
            f"{QUEUE_PATIENCE.total_seconds():g} s. Start one: customhouse worker --queue {queue}"
        )
        return ErrorRecord(code="no_worker", message=message, status=503, kind=kind)
    if isinstance(cause, ActivityTimeout):
        return ErrorRecord(code="attempt_timed_out", message=f"{step.deployment_id}: timed out", status=504, kind=kind)
    return ErrorRecord(code="attempt_failed", message=f"{step.deployment_id}: {cause}", status=502, kind=kind)


def _callers_part(last: ErrorRecord) -> dict[str, object]:
    """What the caller can mend gets the status that the provider gave it, so that clients act as they would there."""
    if last.code in BUDGET_REFUSALS:
        return {"status": last.status, "code": last.code, "message": last.message}
    if last.code == STREAM_BROKEN:
        return {"code": last.code, "message": last.message}
    if last.kind is FailureKind.TERMINAL and last.provider_status in (400, 413, 422):
        return {"status": 400, "code": last.code, "message": last.message, "param": last.param}
    if last.kind is FailureKind.RETRYABLE and last.provider_status == 429:
        return {"status": 429, "code": "rate_limited"}
    return {}
