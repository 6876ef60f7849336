"""The end of an invocation, in one transaction: money, events, spans and result, all or nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass

from activities.admittance import Admittance
from activities.alerts import AlertDesk
from activities.failures import database_step
from activities.live import Live
from customhouse.contracts.governance import Verdict
from customhouse.contracts.identity import trace_id
from customhouse.contracts.invocation import CloseInput, InvocationResult, InvocationStatus, RecordInput
from customhouse.governance.alerts.endings import alerts_of
from customhouse.governance.endings import with_answer
from customhouse.governance.journal import events_of
from customhouse.governance.policy import Policy
from customhouse.integrations.telemetry import Telemetry
from customhouse.storage.invocations import Invocations
from customhouse.storage.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Recorder:
    """Writes what an invocation came to, and wakes whoever waits for it."""

    ledger: Ledger
    invocations: Invocations
    live: Live
    policy: Policy
    telemetry: Telemetry
    process_id: str
    desk: AlertDesk
    admittance: Admittance

    async def record(self, record: RecordInput) -> InvocationResult:
        """Idempotent: a result that already stands is returned as it is, with its answer. Else the answer is not in
        what is returned: the outcome has it.
        """
        elapsed_ms = (time.time() - record.invocation.accepted_at) * 1000
        with database_step():
            finished = await self.ledger.finish(
                record,
                _result(record),
                events_of(record, self.policy),
                elapsed_ms=elapsed_ms,
                notify=record.invocation.origin != self.process_id,
            )
            standing = finished.result
            if not finished.here:
                known = await self.invocations.result(standing.organization_id, standing.invocation_id)
                standing = known or standing
        self.live.finish(standing if record.outcome is None else with_answer(standing, record.outcome))
        if finished.here:  # and not once more for each repetition
            overhead_s = None if standing.overhead_ms is None else standing.overhead_ms / 1000
            self.telemetry.invocation_ended(standing.status, standing.verdict, overhead_s)
            await self.admittance.settle(standing)
            for alert in alerts_of(record, self.policy):
                self.desk.post(alert)
        return standing

    async def close(self, close: CloseInput) -> None:
        """End the row of an invocation that was never decided, if it has one."""
        invocation = close.invocation
        with database_step():
            standing = await self.ledger.abandon(
                invocation.caller.organization_id, invocation.invocation_id, close.error, close.status
            )
        if standing is not None:
            self.live.finish(standing)


def _result(record: RecordInput) -> InvocationResult:
    decision, outcome = record.decision, record.outcome
    verdict = decision.verdict
    findings, steps = list(decision.findings), list(decision.steps)
    if outcome is not None:
        findings += outcome.findings
        steps += outcome.steps
        verdict = max(verdict, outcome.verdict, key=lambda each: each.severity)
    return InvocationResult(
        invocation_id=record.invocation.invocation_id,
        organization_id=record.invocation.caller.organization_id,
        trace_id=trace_id(record.invocation.invocation_id),
        fingerprint=record.invocation.fingerprint,
        status=record.status,
        verdict=verdict if record.status is not InvocationStatus.BLOCKED else Verdict.BLOCK,
        findings=findings,
        policy_version=decision.policy_version,
        deployment_id=None if outcome is None else outcome.step.deployment_id,
        usage=None if outcome is None else outcome.usage,
        originals_ref=decision.originals_ref,
        error=record.error,
        steps=steps,
    )
