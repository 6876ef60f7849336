"""One conversation with a provider, governed while it goes on: what comes back is checked before anybody sees it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from activities.budget_guard import BudgetGuard
from activities.chunk_sink import ChunkSink, Publish
from activities.examination import Examiner
from activities.gate import Gate, TurnedBack
from activities.inspection import MAX_INLINE_CHARS, STOPPING, Inspector
from activities.outcomes import DEADLINE_PASSED, Costing, Seen
from customhouse.contracts.catalog import Catalog, Deployment
from customhouse.contracts.chat import ChatCompletion, ChatRequest, Json, Message
from customhouse.contracts.errors import STREAM_BROKEN, ErrorRecord, FailureKind, ProviderError
from customhouse.contracts.governance import Direction, Finding, StepTiming, Verdict
from customhouse.contracts.invocation import AttemptOutcome, AttemptStatus, CallInput, CancelRequest, Repair
from customhouse.governance import verdict as verdicts
from customhouse.governance.answer_schema import check_answer, wants_json
from customhouse.governance.passages import answer_passages
from customhouse.governance.policy import Policy
from customhouse.governance.redaction import Placeholders, redact_request
from customhouse.governance.repairs import complaint_about
from customhouse.governance.restoring import restore_chunk
from customhouse.governance.streaming import Finished, StreamGovernor
from customhouse.integrations.providers.base import Completed, Delta, ProviderCall, ProviderEvent
from customhouse.integrations.providers.registry import Providers
from customhouse.integrations.telemetry import CallSpan, ProviderCallInfo, Telemetry
from customhouse.storage.clock import utc_now

log = logging.getLogger(__name__)

_LONGEST_SHOWN_AGAIN = 32 * 1024
"""Characters of an answer that missed its schema: enough to mend it by, little enough for Temporal's history."""


@dataclass(frozen=True, slots=True)
class AttemptFactory:
    """What every attempt needs, made once a process."""

    examiner: Examiner
    catalog: Catalog
    providers: Providers
    costing: Costing
    sink: ChunkSink
    telemetry: Telemetry

    @property
    def inspector(self) -> Inspector:
        return self.examiner.inspector

    @property
    def policy(self) -> Policy:
        return self.inspector.policy

    def make(
        self,
        call: CallInput,
        deployment: Deployment,
        request: ChatRequest,
        number: int,
        guard: BudgetGuard | None = None,
    ) -> Attempt:
        """`guard`: for a stream that must be ended where its budgets have no room for more."""
        return Attempt(self, call, deployment, request, number, guard)


class Attempt:
    """One attempt. `run` it once; if it is cancelled, `cancelled` tells what it came to until then."""

    def __init__(
        self,
        parts: AttemptFactory,
        call: CallInput,
        deployment: Deployment,
        request: ChatRequest,
        number: int,
        guard: BudgetGuard | None = None,
    ) -> None:
        self.call = call
        self._guard = guard
        self.number = number
        self._parts = parts
        self._deployment = deployment
        self._original = request
        placeholders = Placeholders()
        self._request = _as_sent(request, call, parts.policy, placeholders)
        # As they are now: what is redacted in the answer has placeholders of its own, and is never restored.
        self._originals = placeholders.originals() if parts.policy.restore else {}
        self._started_at = utc_now()
        self._clock = time.perf_counter()
        self._seen = Seen()
        self._governed_ms = 0.0
        self._provider_ms: float | None = None
        self._answer: ChatCompletion | None = None
        self._opening: list[Json] = []
        """Chunks that say nothing yet (the role). They wait for the first text: until it leaves, a blocked answer can
        still get its own status, and another attempt can still begin."""
        # A schema only counts for the whole answer, so nothing of one that must match is let out before its end.
        self._governor = StreamGovernor(
            parts.inspector.suite, parts.policy, hold_all=wants_json(request), placeholders=placeholders
        )
        self._gate = Gate(parts.inspector, call.decision, request)

    async def run(self) -> AttemptOutcome:
        """Never raises what a provider does wrong: that is an outcome too."""
        parts, invocation = self._parts, self.call.invocation
        info = ProviderCallInfo(
            deployment=self._deployment,
            provider=parts.catalog.provider(self._deployment.provider),
            request=self._request,
            stream=invocation.stream,
            invocation_id=invocation.invocation_id,
            organization_id=invocation.caller.organization_id,
            policy_version=self.call.decision.policy_version,
            attempt=self.number,
        )
        with parts.telemetry.provider_call(info) as span:
            try:
                async with parts.sink.open(self.call, self.number) as publish:
                    return await self._gate.around(lambda: self._converse(publish, span))
            except TurnedBack:
                parts.examiner.condemn(invocation, self._original, self._gate.seen.findings)
                return self._turned_back()
            except ProviderError as error:
                span.failed(error)
                return self._failed(error)
            except Exception:
                # Whatever it is, it comes after the provider was called: raised, it would be called and paid again.
                log.exception("an attempt broke down", extra={"deployment_id": self._deployment.id})
                return self._failed(
                    ProviderError(
                        f"{self._deployment.id}: its answer could not be worked on. The fault is ours, and logged.",
                        kind=FailureKind.TERMINAL,
                        provider_code="attempt_crashed",
                    )
                )

    async def _converse(self, publish: Publish, span: CallSpan) -> AttemptOutcome:
        answer: ChatCompletion | None = None
        async with aclosing(self._events()) as events:
            async for event in events:
                if isinstance(event, Completed):
                    answer = event.answer
                    break
                await self._pass_on(event, publish)
                if self._governor.is_stopped:
                    break
                if self._guard is not None and not await self._guard.allows(event.chunk):
                    await self._pass_on(Delta(self._guard.ending()), publish)
                    answer = self._guard.answer()
                    break
        provider_ms = self._provider_ms = self._elapsed_ms()
        if answer is None:
            return await self._stopped(provider_ms)
        outcome = await self._answered(answer, provider_ms, publish)
        span.answered(
            answer,
            usage=answer.usage,
            usd_cost=outcome.usd_cost,
            verdict=outcome.verdict,
            time_to_first_chunk_s=None if self._seen.first_ms is None else self._seen.first_ms / 1000,
        )
        return outcome

    async def _events(self) -> AsyncGenerator[ProviderEvent]:
        provider = self._parts.providers.for_deployment(self._deployment)
        call = ProviderCall(
            deployment=self._deployment,
            request=self._request,
            stream=self.call.invocation.stream,
            timeout_s=self.call.timeout_s,
        )
        async for event in provider.call(call):
            yield event

    async def _pass_on(self, event: Delta, publish: Publish) -> None:
        self._seen.chunk(event.chunk, self._elapsed_ms())
        began = time.perf_counter()
        released = self._governor.feed(event.chunk)
        self._governed_ms += (time.perf_counter() - began) * 1000
        if self._seen.released or any(_says_something(piece) for piece in released):
            await self._let_out(released, publish)
        else:
            self._opening += released

    async def _let_out(self, chunks: list[Json], publish: Publish) -> None:
        if chunks:
            await self._gate.passed()
            self._seen.released = True
            chunks = [restore_chunk(chunk, self._originals) for chunk in chunks]
            await publish([*self._opening, *chunks], self._seen.first_ms or 0.0)
            self._opening = []

    async def _answered(self, answer: ChatCompletion, provider_ms: float, publish: Publish) -> AttemptOutcome:
        began_at, began = time.time(), time.perf_counter()
        schema = check_answer(self._request, answer)
        passages = answer_passages(answer)
        heavy = await self._parts.inspector.answer(passages)
        if sum(len(passage.text) for passage in passages) <= MAX_INLINE_CHARS:
            finished = self._governor.finish(answer, [*schema, *heavy.findings])
        else:
            finished = await asyncio.to_thread(self._governor.finish, answer, [*schema, *heavy.findings])
        self._governed_ms += (time.perf_counter() - began) * 1000
        repair = _repair(finished, answer, self._parts.inspector)
        self._answer = answer
        await self._gate.passed()
        if self.call.invocation.stream:
            await self._let_out(finished.chunks, publish)
        return self._outcome(
            AttemptStatus.SUCCEEDED,
            provider_ms,
            answer=answer,
            governed=finished,
            error=self._refusal(finished.findings) if finished.verdict in STOPPING else None,
            repair=repair,
            inspected_at=began_at,
            heavy=heavy.steps,
        )

    def _turned_back(self) -> AttemptOutcome:
        """The request is blocked after all. Whatever the provider wrote until then is paid for, and seen by nobody."""
        return self._outcome(
            AttemptStatus.SUCCEEDED,
            self._provider_ms or self._elapsed_ms(),
            answer=self._answer,
            error=self._gate.refusal(),
        )

    async def _stopped(self, provider_ms: float) -> AttemptOutcome:
        """The stream was cut at a finding: the provider is told to stop, and is paid for what it wrote until then."""
        await self._gate.passed()
        findings = self._governor.offence
        return self._outcome(
            AttemptStatus.SUCCEEDED,
            provider_ms,
            findings=findings,
            verdict=verdicts.decide(findings, self._parts.policy, Direction.OUTPUT),
            error=self._refusal(findings),
        )

    def _failed(self, error: ProviderError) -> AttemptOutcome:
        record = error.to_record()
        if self._seen.released:
            # What has left cannot be taken back, so no other attempt may begin the answer anew.
            record = record.model_copy(update={"kind": FailureKind.TERMINAL, "code": STREAM_BROKEN})
        return self._outcome(AttemptStatus.FAILED, self._elapsed_ms(), error=record)

    def expired(self) -> AttemptOutcome:
        """Instead of `run`, where no time is left."""
        late = ProviderError(
            f"{self._deployment.id}: not called, since the invocation's deadline had passed",
            kind=FailureKind.TERMINAL,
            provider_code=DEADLINE_PASSED,
        )
        return self._failed(late)

    def cancelled(self, request: CancelRequest) -> AttemptOutcome:
        error = ErrorRecord(code="attempt_cancelled", message=request.reason, status=409)
        return self._outcome(AttemptStatus.CANCELLED, self._elapsed_ms(), error=error)

    def _refusal(self, findings: Sequence[Finding]) -> ErrorRecord:
        return verdicts.blocked(findings, self._parts.policy, Direction.OUTPUT).to_record()

    def _outcome(
        self,
        status: AttemptStatus,
        provider_ms: float,
        *,
        answer: ChatCompletion | None = None,
        governed: Finished | None = None,
        findings: Sequence[Finding] = (),
        verdict: Verdict = Verdict.ALLOW,
        error: ErrorRecord | None = None,
        repair: Repair | None = None,
        inspected_at: float | None = None,
        heavy: Sequence[StepTiming] = (),
    ) -> AttemptOutcome:
        gate = self._gate.seen
        charge = self._parts.costing.charge(
            self._deployment, status, error, answer, self._seen, self.call.decision.prompt_tokens, self._started_at
        )
        steps = [
            StepTiming(
                name="call",
                started_at=self._started_at.timestamp(),
                duration_ms=provider_ms,
                attributes={
                    "deployment_id": self._deployment.id,
                    "attempt": self.number,
                    "lane": self.call.step.lane.value,
                    "status": status.value,
                },
            )
        ]
        if inspected_at is not None:
            steps.append(StepTiming(name="inspect", started_at=inspected_at, duration_ms=self._governed_ms))
        steps += [*heavy, *gate.steps]
        if governed is not None:
            findings, verdict = governed.findings, governed.verdict
        return AttemptOutcome(
            number=self.number,
            step=self.call.step,
            status=status,
            # What is blocked is not kept either.
            answer=None if governed is None or governed.verdict in STOPPING else governed.answer,
            findings=[*gate.findings, *findings],
            verdict=max(verdict, self._gate.verdict, key=lambda each: each.severity),
            usage=charge.usage,
            usage_estimated=charge.estimated,
            usd_cost=charge.usd_cost,
            price_source=charge.price_source,
            started_at=self._started_at,
            provider_ms=provider_ms,
            time_to_first_token_ms=self._seen.first_ms,
            error=error,
            repair=repair,
            shortages=[] if self._guard is None else self._guard.shortages,
            steps=steps,
        )

    def _elapsed_ms(self) -> float:
        return (time.perf_counter() - self._clock) * 1000


def _says_something(chunk: Json) -> bool:
    return any(
        choice.get("finish_reason")
        or any(value for name, value in (choice.get("delta") or {}).items() if name != "role")
        for choice in chunk.get("choices") or ()
    )


def _as_sent(request: ChatRequest, call: CallInput, policy: Policy, placeholders: Placeholders) -> ChatRequest:
    """The request as the provider may see it: redacted, and with what a former answer missed."""
    redacted = verdicts.to_redact(call.decision.findings, policy, Direction.INPUT)
    sent = redact_request(request, redacted, placeholders)
    if call.repair is None:
        return sent
    again = [
        *sent.messages,
        Message(role="assistant", content=call.repair.answer),
        Message(role="user", content=call.repair.complaint),
    ]
    return sent.model_copy(update={"messages": again})


def _repair(finished: Finished, answer: ChatCompletion, inspector: Inspector) -> Repair | None:
    """Ask again only where that is all that is wrong."""
    blocking = [f for f in finished.findings if verdicts.action_for(f, inspector.policy) in STOPPING]
    complaint = complaint_about(blocking, inspector.rules) if finished.verdict is Verdict.BLOCK else None
    if complaint is None:
        return None
    text = answer.choices[0].message.get("content")
    return Repair(answer=text[:_LONGEST_SHOWN_AGAIN] if isinstance(text, str) else "", complaint=complaint)
