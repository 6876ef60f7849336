"""`call`: one attempt at one deployment. Its row is committed `started` before the provider hears of it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity

from activities.attempt import Attempt, AttemptFactory
from activities.content import ContentAccess
from activities.failures import as_failure, database_step
from activities.latency import LatencyBook
from activities.live import Live
from customhouse.contracts.catalog import Catalog, Deployment
from customhouse.contracts.errors import FailureKind, ProviderError
from customhouse.contracts.invocation import AttemptOutcome, AttemptStatus, CallInput, CancelRequest
from customhouse.contracts.timing import CALL_HEARTBEAT
from customhouse.governance.pricing import Pricer
from customhouse.storage.clock import utc_now
from customhouse.storage.ledger import Ledger


@dataclass(frozen=True, slots=True)
class CallActivity:
    """Opens an attempt, makes it, and settles it unless `record` will."""

    catalog: Catalog
    attempts: AttemptFactory
    pricer: Pricer
    ledger: Ledger
    live: Live
    latencies: LatencyBook
    content: ContentAccess

    @activity.defn(name="call")
    async def call(self, call: CallInput) -> AttemptOutcome:
        """Returns an answer (allowed or blocked) or a cancelled attempt; raises what the provider failed with.

        After a crash: an attempt that is settled is returned without calling the provider again.
        """
        deployment = self._deployment(call)
        with database_step():
            request = await self.content.request_of(call.invocation)
            opened = await self.ledger.open_attempt(
                call.invocation,
                call.step,
                after_attempt=call.after_attempt,
                tokens_input_estimate=call.prompt_tokens,
                usd_cost_estimate=self.pricer.estimate(deployment, call.prompt_tokens, 0, utc_now()).usd_cost,
            )
        if opened.outcome is not None:
            return opened.outcome
        attempt = self.attempts.make(call, deployment, request, opened.number)
        async with _heartbeats():
            outcome = await self._make(attempt)
        return await self._settled(call, outcome)

    async def _make(self, attempt: Attempt) -> AttemptOutcome:
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
                if not cancels and activity.is_worker_shutdown():
                    raise  # another worker takes over and closes this attempt as unknown
                return attempt.cancelled(cancels[0] if cancels else CancelRequest(by="operator"))

    async def _settled(self, call: CallInput, outcome: AttemptOutcome) -> AttemptOutcome:
        """Settle at once what is not the invocation's end, or was made where `record` cannot see it be lost."""
        if outcome.status is AttemptStatus.SUCCEEDED:
            self.latencies.observe(call.step.deployment_id, outcome.provider_ms / 1000)
        is_last_step_of_this_task = activity.info().is_local and outcome.repair is None
        if outcome.status is not AttemptStatus.FAILED:
            with database_step():
                outcome = await self.content.put_away_large_answer(call.invocation, outcome)
        if outcome.status is AttemptStatus.FAILED or not is_last_step_of_this_task:
            with database_step():
                await self.ledger.settle(call.invocation, outcome)
            outcome = outcome.model_copy(update={"settled": True})
        if outcome.status is AttemptStatus.FAILED and outcome.error is not None:
            invocation = call.invocation
            left_s = invocation.accepted_at + invocation.deadline_s - time.time()
            raise as_failure(outcome.error, left=timedelta(seconds=left_s))
        return outcome

    def _deployment(self, call: CallInput) -> Deployment:
        deployment = self.catalog.deployment(call.step.deployment_id)
        if deployment is None:
            raise as_failure(
                ProviderError(
                    f"{call.step.deployment_id} is on this invocation's route but not in this worker's catalog: "
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
