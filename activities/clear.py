"""`clear`: everything that is decided before money is spent, in one statement to Postgres."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from psycopg.errors import ForeignKeyViolation

from activities.admittance import Admittance
from activities.content import ContentAccess
from activities.examination import Examined, Examiner
from activities.failures import database_step
from activities.inspection import STOPPING
from activities.latency import LatencyBook
from customhouse.contracts.catalog import Catalog
from customhouse.contracts.chat import ChatRequest, Json
from customhouse.contracts.errors import CustomhouseError, NotFound
from customhouse.contracts.governance import Direction, StepTiming, Verdict
from customhouse.contracts.identity import workflow_id
from customhouse.contracts.invocation import Decision, InvocationInput, Lane, RouteStep
from customhouse.governance import verdict as verdicts
from customhouse.governance.answer_schema import check_response_format
from customhouse.governance.policy import Policy
from customhouse.governance.redaction import redact_request
from customhouse.governance.restoring import originals_of
from customhouse.governance.routing import facts_of, no_lawful_route, survey
from customhouse.governance.tokens import estimate_prompt_tokens, expected_tokens
from customhouse.storage.invocations import Invocations
from customhouse.storage.ledger import Cleared, Ledger
from customhouse.storage.ledger_rows import Opening
from customhouse.storage.similarity_rows import SimilarityRow

OpenFirst = Callable[[RouteStep, Decision, ChatRequest], Opening]
"""Makes what the first attempt's row says, of its deployment, the decision and the request."""


@dataclass(frozen=True, slots=True)
class Clearance:
    """A request that has been cleared, or refused."""

    decision: Decision
    request: ChatRequest
    is_open: bool
    """Whether the first attempt's row was opened with the decision. Where a budget had no room, it was not."""
    is_budgeted: bool
    """Whether that attempt holds a part of a budget."""


@dataclass(frozen=True, slots=True)
class Clear:
    """Checks, limits and routes a request, and records what was decided."""

    admittance: Admittance
    examiner: Examiner
    catalog: Catalog
    latencies: LatencyBook
    ledger: Ledger
    invocations: Invocations
    content: ContentAccess

    @property
    def policy(self) -> Policy:
        return self.examiner.inspector.policy

    async def clear(self, invocation: InvocationInput, open_first: OpenFirst) -> Clearance:
        """Idempotent: after a crash the decision that stands in Postgres is returned, not a new one.

        Where the route starts in the local lane, its first attempt is opened in the same transaction.
        """
        started_at, clock = time.time(), time.perf_counter()
        with database_step():
            request = await self.content.request_of(invocation)
            examined = await self._examined(invocation, request)
            decision, seen = await self._decide(invocation, request, examined)
            decision.steps.append(_step("clear", started_at, clock, verdict=decision.verdict.value))
            first = None
            if decision.error is None and decision.route[0].lane is Lane.LOCAL:
                first = open_first(decision.route[0], decision, request)
            blocked = decision.verdict in STOPPING
            row = self.examiner.row(examined, blocked=blocked)
            standing, cleared = await self._record(invocation, decision, seen, first, row)
            if standing is decision and examined.error is None:
                self.examiner.remember(invocation.caller, examined, blocked=blocked)
            if decision.originals_ref is not None and decision.originals_ref != standing.originals_ref:
                # An earlier decision stands, with a record of its own.
                await self.content.forget(invocation.caller.organization_id, decision.originals_ref)
            return Clearance(standing, request, cleared.opened, cleared.is_budgeted)

    async def _examined(self, invocation: InvocationInput, request: ChatRequest) -> Examined:
        try:
            await self.admittance.admit(invocation, lambda: expected_tokens(request))
        except CustomhouseError as error:
            return Examined(is_short=True, error=error.to_record())
        return await self.examiner.examine(invocation, request)

    async def _decide(
        self, invocation: InvocationInput, request: ChatRequest, examined: Examined
    ) -> tuple[Decision, Json | None]:
        """The decision, and the request as it may be stored and sent: with redactions applied."""
        decision = Decision(
            invocation_id=invocation.invocation_id,
            verdict=Verdict.ALLOW,
            findings=examined.inspected.findings,
            policy_version=self.policy.version,
            max_repairs=self.policy.max_repairs,
            alongside=examined.inspected.alongside,
            context=examined.context,
            error=examined.error,
            steps=examined.inspected.steps,
        )
        if decision.error is not None:
            return decision, None
        if examined.is_short:
            seen = self._judge(decision, invocation, request)
        else:
            seen = await asyncio.to_thread(self._judge, decision, invocation, request)
        if self.policy.restore and decision.error is None:
            redacted = verdicts.to_redact(decision.findings, self.policy, Direction.INPUT)
            if originals := originals_of(request, redacted):
                organization_id = invocation.caller.organization_id
                decision.originals_ref = await self.content.keep_originals(organization_id, originals)
        return decision, seen

    def _judge(self, decision: Decision, invocation: InvocationInput, request: ChatRequest) -> Json | None:
        """Fills in what the findings mean, and the route. Returns the request as it may be stored."""
        findings = decision.findings
        decision.prompt_tokens = prompt_tokens = estimate_prompt_tokens(request)
        verdict = verdicts.decide(findings, self.policy, Direction.INPUT)
        decision.verdict = Verdict.BLOCK if verdict in STOPPING else verdict
        try:
            if verdict is Verdict.BLOCK:
                raise verdicts.blocked(findings, self.policy, Direction.INPUT)
            if verdict is Verdict.REVIEW:
                raise verdicts.unreviewed(findings, self.policy)
            check_response_format(request)
            facts = facts_of(request, invocation.caller, prompt_tokens)
            route = survey(facts, self.catalog, self.latencies.p95s)
            decision.left_out = route.left_out
            # A workflow task that is busy with a local activity takes no signals, and so would pass no chunks on.
            lane = {"lane": Lane.REGULAR} if invocation.stream_through_workflow else {}
            decision.route = [step.model_copy(update=lane) for step in route.steps]
            if not route.steps:
                raise no_lawful_route(facts, route)
        except CustomhouseError as error:
            decision.error = error.to_record()
        # What is not let through is not kept either: the original stands, if at all, in the encrypted history only.
        hidden = [f for f in findings if not f.may_be_kept and verdicts.action_for(f, self.policy) is not Verdict.ALLOW]
        if any(f.span is None for f in hidden):
            return None  # too much to look at it all or to list it all, so it cannot all be taken out
        return redact_request(request, hidden).wire()

    async def _record(
        self,
        invocation: InvocationInput,
        decision: Decision,
        request: Json | None,
        first: Opening | None,
        prompt: SimilarityRow | None,
    ) -> tuple[Decision, Cleared]:
        identity = workflow_id(invocation.caller.organization_id, invocation.idempotency_key)
        try:
            cleared = await self.ledger.clear(invocation, identity, decision, request, first, prompt)
        except ForeignKeyViolation as error:
            raise NotFound(
                f"There is no organization {invocation.caller.organization_id}. Ask an administrator for its id.",
                param="organization_id",
            ) from error
        standing = decision if cleared.decision is None else Decision.model_validate(cleared.decision)
        standing.invocation_id = cleared.invocation_id
        if cleared.status.is_final:
            standing.settled = await self.invocations.result(invocation.caller.organization_id, cleared.invocation_id)
        return standing, cleared


def _step(name: str, started_at: float, clock: float, **attributes: str | int) -> StepTiming:
    return StepTiming(
        name=name,
        started_at=started_at,
        duration_ms=(time.perf_counter() - clock) * 1000,
        attributes=dict(attributes),
    )
