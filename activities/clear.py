"""`clear`: everything that is decided before money is spent, in one statement to Postgres."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from psycopg.errors import ForeignKeyViolation

from activities.content import ContentAccess
from activities.failures import database_step
from activities.inspection import MAX_INLINE_CHARS, STOPPING, Inspector
from activities.latency import LatencyBook
from customhouse.contracts.catalog import Catalog
from customhouse.contracts.chat import ChatRequest, Json
from customhouse.contracts.errors import BlockedByPolicy, CustomhouseError, NotFound, PayloadTooLarge
from customhouse.contracts.governance import Direction, Finding, StepTiming, Verdict
from customhouse.contracts.identity import workflow_id
from customhouse.contracts.invocation import Decision, InvocationInput, Lane, RouteStep
from customhouse.governance import verdict as verdicts
from customhouse.governance.answer_schema import check_response_format
from customhouse.governance.checks.base import Passage
from customhouse.governance.passages import request_passages, request_texts
from customhouse.governance.policy import Policy
from customhouse.governance.redaction import redact_request
from customhouse.governance.routing import facts_of, no_lawful_route, survey
from customhouse.governance.tokens import estimate_prompt_tokens
from customhouse.storage.invocations import Invocations
from customhouse.storage.ledger import Ledger
from customhouse.storage.ledger_rows import Opening

_CHARS_PER_TEXT = 20
"""What a text costs besides its characters, in characters of prose."""

OpenFirst = Callable[[RouteStep, int], Opening]
"""Makes what the first attempt's row says, of its deployment and the prompt's estimated tokens."""


@dataclass(frozen=True, slots=True)
class Clearance:
    """A request that has been cleared, or refused."""

    decision: Decision
    request: ChatRequest
    is_open: bool
    """Whether the first attempt's row was opened with the decision."""


@dataclass(frozen=True, slots=True)
class Clear:
    """Checks, limits and routes a request, and records what was decided."""

    inspector: Inspector
    catalog: Catalog
    latencies: LatencyBook
    ledger: Ledger
    invocations: Invocations
    content: ContentAccess

    @property
    def policy(self) -> Policy:
        return self.inspector.policy

    async def clear(self, invocation: InvocationInput, open_first: OpenFirst) -> Clearance:
        """Idempotent: after a crash the decision that stands in Postgres is returned, not a new one.

        Where the route starts in the local lane, its first attempt is opened in the same transaction.
        """
        started_at, clock = time.time(), time.perf_counter()
        with database_step():
            request = await self.content.request_of(invocation)
            # What came by reference is long in any case.
            passages = _short(request) if invocation.request_ref is None else None
            decision, seen = await self._decide(invocation, request, passages)
            decision.steps.append(_step("clear", started_at, clock, verdict=decision.verdict.value))
            first = None
            if decision.error is None and decision.route[0].lane is Lane.LOCAL:
                first = open_first(decision.route[0], decision.prompt_tokens)
            standing, is_open = await self._record(invocation, decision, seen, first)
            return Clearance(standing, request, is_open)

    async def _decide(
        self, invocation: InvocationInput, request: ChatRequest, passages: Sequence[Passage] | None
    ) -> tuple[Decision, Json | None]:
        """The decision, and the request as it may be stored and sent: with redactions applied.

        `passages` are the request's where they are few and short; None where to read them takes a thread.
        """
        decision = Decision(
            invocation_id=invocation.invocation_id,
            verdict=Verdict.ALLOW,
            policy_version=self.policy.version,
            max_repairs=self.policy.max_repairs,
        )
        is_short = passages is not None
        try:
            passages = await asyncio.to_thread(request_passages, request) if passages is None else passages
        except PayloadTooLarge as error:
            decision.error = error.to_record()
            return decision, None
        inspected = await self.inspector.request(passages, decision.context, is_short=is_short)
        decision.findings, decision.steps = inspected.findings, inspected.steps
        decision.alongside = inspected.alongside
        if is_short:
            return decision, self._judge(decision, invocation, request)
        return decision, await asyncio.to_thread(self._judge, decision, invocation, request)

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
                raise _unreviewed(findings, self.policy)
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
        self, invocation: InvocationInput, decision: Decision, request: Json | None, first: Opening | None
    ) -> tuple[Decision, bool]:
        identity = workflow_id(invocation.caller.organization_id, invocation.idempotency_key)
        try:
            cleared = await self.ledger.clear(invocation, identity, decision, request, first)
        except ForeignKeyViolation as error:
            raise NotFound(
                f"There is no organization {invocation.caller.organization_id}. Ask an administrator for its id.",
                param="organization_id",
            ) from error
        standing = decision if cleared.decision is None else Decision.model_validate(cleared.decision)
        standing.invocation_id = cleared.invocation_id
        if cleared.status.is_final:
            standing.settled = await self.invocations.result(invocation.caller.organization_id, cleared.invocation_id)
        return standing, cleared.opened


def _short(request: ChatRequest) -> list[Passage] | None:
    """The request's texts; None where to inspect them would hold up the event loop."""
    found: list[Passage] = []
    left = MAX_INLINE_CHARS
    for passage in request_texts(request):
        left -= len(passage.text) + _CHARS_PER_TEXT
        if left < 0:
            return None
        found.append(passage)
    return found


def _unreviewed(findings: Sequence[Finding], policy: Policy) -> BlockedByPolicy:
    """For a verdict `review`: nobody reviews requests yet, so none is let through unseen."""
    reasons = dict.fromkeys(
        f"{finding.check}.{finding.kind}"
        for finding in findings
        if verdicts.action_for(finding, policy) is Verdict.REVIEW
    )
    return BlockedByPolicy(
        f"Policy {policy.version} wants the request reviewed ({', '.join(reasons)}), and reviews are not available: it "
        "is blocked. Take out what was found, or ask for another action in the policy."
    )


def _step(name: str, started_at: float, clock: float, **attributes: str | int) -> StepTiming:
    return StepTiming(
        name=name,
        started_at=started_at,
        duration_ms=(time.perf_counter() - clock) * 1000,
        attributes=dict(attributes),
    )
