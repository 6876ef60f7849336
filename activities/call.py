"""`call`: one attempt at one deployment. Its row is committed `started` before the provider hears of it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.attempt import Attempt, AttemptFactory
from activities.budget_guard import BudgetGuard
from activities.content import ContentAccess
from activities.failures import DATABASE_AWAY, as_failure, database_step, patiently, uninterrupted
from activities.latency import LatencyBook
from activities.live import Live
from activities.recorder import Recorder
from customhouse.contracts.catalog import Catalog, Deployment
from customhouse.contracts.chat import ChatRequest
from customhouse.contracts.errors import FailureKind, ProviderError
from customhouse.contracts.invocation import (
    AttemptOutcome,
    AttemptStatus,
    CallInput,
    CancelRequest,
    Decision,
    RecordInput,
    Repair,
    RouteStep,
)
from customhouse.contracts.limits import HISTORY_PAYLOAD_BYTES
from customhouse.contracts.timing import CALL_HEARTBEAT
from customhouse.governance.budgets.worst_case import WorstCases
from customhouse.governance.endings import ending_of
from customhouse.governance.pricing import Pricer
from customhouse.integrations.logs import log_context
from customhouse.storage.clock import utc_now
from customhouse.storage.ledger import Ledger
from customhouse.storage.ledger_rows import Opening


@dataclass(frozen=True, slots=True)
class CallActivity:
    """Opens an attempt, makes it and settles it; in the local lane, an attempt that answers is recorded as the end."""

    catalog: Catalog
    attempts: AttemptFactory
    pricer: Pricer
    worst_cases: WorstCases
    ledger: Ledger
    live: Live
    latencies: LatencyBook
    content: ContentAccess
    recorder: Recorder

    @activity.defn(name="call")
    async def call(self, call: CallInput) -> AttemptOutcome:
        """Returns an answer (allowed or blocked) or a cancelled attempt; raises what the provider failed with.

        After a crash: an attempt that is settled is returned without calling the provider again.
        """
        invocation = call.invocation
        with log_context(invocation_id=invocation.invocation_id, organization_id=invocation.caller.organization_id):
            return await self._opened(call)

    async def _opened(self, call: CallInput) -> AttemptOutcome:
        with database_step():
            request = await self.content.request_of(call.invocation)
            opened = await self.ledger.open_attempt(
                call.invocation,
                self.opening(call.step, call.decision, request, call.repair),
                after_attempt=call.after_attempt,
            )
        if opened.outcome is not None:
            return opened.outcome
        return await self.make(call, request, opened.number, is_budgeted=opened.is_budgeted)

    def opening(
        self, step: RouteStep, decision: Decision, request: ChatRequest, repair: Repair | None = None
    ) -> Opening:
        """What the attempt's row says before the provider is called. Raises where the deployment is not known here."""
        now, prompt_tokens = utc_now(), decision.prompt_tokens
        estimate = self.pricer.estimate(self._deployment(step), prompt_tokens, 0, now)
        worst = self.worst_cases.of(step, decision.route, request, prompt_tokens, now, repair)
        return Opening(step, prompt_tokens, estimate.usd_cost, worst.usd)

    async def make(
        self, call: CallInput, request: ChatRequest, number: int, *, is_budgeted: bool = False
    ) -> AttemptOutcome:
        """Make an attempt whose row is open."""
        left_s = call.invocation.left_s(time.time())  # a retry is given the first try's time-out
        call = call.model_copy(update={"timeout_s": min(call.timeout_s, left_s)})
        guard = self._guard(call, request, number) if is_budgeted and call.invocation.stream else None
        attempt = self.attempts.make(call, self._deployment(call.step), request, number, guard)
        async with _heartbeats():
            outcome = await self._converse(attempt) if left_s > 0 else attempt.expired()
            # Shielded: what was spent goes down also when a cancel comes now.
            return await uninterrupted(self._settled(call, outcome))

    def _guard(self, call: CallInput, request: ChatRequest, number: int) -> BudgetGuard | None:
        """None where the provider itself ends the answer in time."""
        decision = call.decision
        worst = self.worst_cases.of(call.step, decision.route, request, decision.prompt_tokens, utc_now(), call.repair)
        return None if worst.is_bounded else BudgetGuard(self.ledger, call.invocation.invocation_id, number, worst)

    async def _converse(self, attempt: Attempt) -> AttemptOutcome:
        """Run the attempt where a cancel can reach it: by Temporal, or directly within this process."""
        invocation_id = attempt.call.invocation.invocation_id
        cancels: list[CancelRequest] = []
        conversation = asyncio.create_task(attempt.run())

        def cancel(request: CancelRequest) -> None:
            cancels.append(request)
            conversation.cancel()

        with self.live.watching(invocation_id), self.live.cancellable(invocation_id, cancel):
            try:
                return await conversation
            except asyncio.CancelledError:
                details = activity.cancellation_details()
                if not cancels and not (details is not None and details.cancel_requested):
                    # The worker stops, or Temporal has lost sight of it: nobody wanted an end. Whoever takes the call
                    # over closes this attempt as unknown.
                    raise
                return attempt.cancelled(cancels[0] if cancels else CancelRequest(by="operator"))

    async def _settled(self, call: CallInput, outcome: AttemptOutcome) -> AttemptOutcome:
        """What stands in Postgres when the activity returns, whatever becomes of its result in Temporal."""
        if outcome.status is AttemptStatus.SUCCEEDED:
            self.latencies.observe(call.step.deployment_id, outcome.provider_ms / 1000)
        if outcome.status is not AttemptStatus.FAILED:
            outcome = await self._put_away(call, outcome)
            if activity.info().is_local and (outcome.repair is None or call.repairs_left == 0):
                return await self._recorded(call, outcome)
        is_settled = True
        try:
            await patiently(lambda: self.ledger.settle(call.invocation, outcome))
        except ApplicationError as failure:
            if failure.type != DATABASE_AWAY:
                raise
            # As in `_recorded`, `record` settles an answer when Postgres is back. A failure's row stays open, until
            # whatever comes next closes it with an estimate; raised, the outage would hide how often has been tried.
            is_settled = False
        if outcome.status is AttemptStatus.FAILED and outcome.error is not None:
            left_s = call.invocation.left_s(time.time())
            raise as_failure(outcome.error, left=timedelta(seconds=left_s))
        return outcome.model_copy(update={"settled": is_settled})

    async def _put_away(self, call: CallInput, outcome: AttemptOutcome) -> AttemptOutcome:
        """In an outage, an answer stays in history where it fits; where it does not, Postgres is waited for."""
        try:
            return await patiently(lambda: self.content.put_away_large_answer(call.invocation, outcome))
        except ApplicationError as failure:
            if failure.type != DATABASE_AWAY or outcome.answer is None:
                raise
            if len(outcome.answer.model_dump_json().encode()) <= HISTORY_PAYLOAD_BYTES:
                return outcome
        left = timedelta(seconds=call.invocation.left_s(time.time()))
        return await patiently(lambda: self.content.put_away_large_answer(call.invocation, outcome), patience=left)

    async def _recorded(self, call: CallInput, outcome: AttemptOutcome) -> AttemptOutcome:
        """Record the invocation's end here and now: a local activity more would cost a tenth of the whole call."""
        ending = ending_of(outcome)
        record = RecordInput(
            invocation=call.invocation,
            decision=call.decision,
            outcome=outcome,
            status=ending.status,
            error=ending.error,
        )
        try:
            result = await self.recorder.record(record)
        except ApplicationError as failure:
            if failure.type != DATABASE_AWAY:
                raise
            return outcome  # `record` waits for Postgres with patience; here, a retry would call the provider again
        return outcome.model_copy(update={"settled": True, "recorded": result})

    def _deployment(self, step: RouteStep) -> Deployment:
        deployment = self.catalog.deployment(step.deployment_id)
        if deployment is None:
            raise as_failure(
                ProviderError(
                    f"{step.deployment_id} is on this invocation's route but not in this worker's catalog: "
                    "give all workers the same catalog.",
                    kind=FailureKind.REROUTABLE,
                    provider_code="deployment_missing",
                ).to_record()
            )
        return deployment


@contextlib.asynccontextmanager
async def _heartbeats() -> AsyncIterator[None]:
    """Beat while the block runs: so Temporal hears that the regular lane lives, and a cancel comes back."""
    if activity.info().is_local:
        yield
        return

    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(CALL_HEARTBEAT.total_seconds())

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
