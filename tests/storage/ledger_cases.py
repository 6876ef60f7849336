"""Invocations, attempts and outcomes as the steps of a workflow hand them to the ledger."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from customhouse.contracts.chat import ChatCompletion, ChatRequest, Usage
from customhouse.contracts.errors import ErrorRecord
from customhouse.contracts.governance import Verdict
from customhouse.contracts.identity import fingerprint, trace_id, workflow_id
from customhouse.contracts.invocation import (
    AttemptOutcome,
    AttemptStatus,
    Caller,
    Decision,
    InvocationInput,
    InvocationResult,
    InvocationStatus,
    Lane,
    RecordInput,
    RouteStep,
)
from customhouse.storage.ids import new_id
from customhouse.storage.ledger import Ledger
from customhouse.storage.ledger_rows import Opening

STEP = RouteStep(
    deployment_id="m@p@eu", model="m", provider="p", region="eu", lane=Lane.LOCAL, timeout_s=60, reason="the only one"
)

ESTIMATE = Decimal("0.5")
OPENING = Opening(STEP, 50, ESTIMATE)


def an_invocation(organization_id: UUID, **changes: Any) -> InvocationInput:
    request = ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
    caller = Caller(organization_id=organization_id, agent_id="agent", node_id="node")
    identity = new_id()
    return InvocationInput.model_validate(
        {
            "invocation_id": identity,
            "caller": caller,
            "idempotency_key": str(identity),
            "fingerprint": fingerprint(request, caller),
            "request": request,
            "model": "m",
            "accepted_at": time.time(),
            **changes,
        }
    )


def a_decision(invocation: InvocationInput, **changes: Any) -> Decision:
    known: dict[str, Any] = {
        "invocation_id": invocation.invocation_id,
        "verdict": Verdict.ALLOW,
        "route": [STEP],
        "policy_version": "test-1",
    }
    return Decision.model_validate(known | changes)


async def cleared(ledger: Ledger, organization_id: UUID) -> tuple[InvocationInput, Decision]:
    invocation = an_invocation(organization_id)
    decision = a_decision(invocation)
    await ledger.clear(invocation, workflow_id(organization_id, invocation.idempotency_key), decision, None)
    return invocation, decision


async def opened(ledger: Ledger, invocation: InvocationInput, after_attempt: int = 0) -> int:
    return (await ledger.open_attempt(invocation, OPENING, after_attempt=after_attempt)).number


def an_outcome(number: int, status: AttemptStatus = AttemptStatus.SUCCEEDED, **changes: Any) -> AttemptOutcome:
    answer = None
    if status is AttemptStatus.SUCCEEDED:
        answer = ChatCompletion.model_validate(
            {"id": f"answer-{number}", "created": 1, "model": "m", "choices": [{"index": 0, "message": {}}]}
        )
    known: dict[str, Any] = {
        "number": number,
        "step": STEP,
        "status": status,
        "answer": answer,
        "usage": Usage(prompt_tokens=10, completion_tokens=5, total_tokens=15),
        "usd_cost": Decimal("0.25"),
        "price_source": "catalog",
        "started_at": datetime.now(UTC),
        "provider_ms": 12.5,
        "error": None
        if status is AttemptStatus.SUCCEEDED
        else ErrorRecord(code="broken", message="It broke.", status=502),
    }
    return AttemptOutcome.model_validate(known | changes)


def a_record(
    invocation: InvocationInput,
    decision: Decision,
    outcome: AttemptOutcome | None,
    status: InvocationStatus = InvocationStatus.COMPLETED,
) -> tuple[RecordInput, InvocationResult]:
    record = RecordInput(invocation=invocation, decision=decision, outcome=outcome, status=status)
    result = InvocationResult(
        invocation_id=invocation.invocation_id,
        organization_id=invocation.caller.organization_id,
        trace_id=trace_id(invocation.invocation_id),
        fingerprint=invocation.fingerprint,
        status=status,
        verdict=Verdict.ALLOW,
        policy_version=decision.policy_version,
    )
    return record, result
