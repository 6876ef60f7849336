"""The ledger's parameters: typed messages as values for its statements."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson

from customhouse.contracts.invocation import AttemptOutcome, InvocationInput, RouteStep
from customhouse.storage.ids import new_id
from customhouse.storage.statements import storable


@dataclass(frozen=True, slots=True)
class Opening:
    """An attempt that is about to be made."""

    step: RouteStep
    tokens_input_estimate: int
    usd_cost_estimate: Decimal | None
    """What it is charged with, should nobody ever learn what it cost; None where the price is not known."""
    usd_worst: Decimal | None = None
    """What is held of the budgets that apply to it; None where the price is not known."""


def as_json(value: Any) -> str:
    return storable(orjson.dumps(value, default=str).decode())


def identity(invocation: InvocationInput, workflow_id: str) -> dict[str, Any]:
    caller = invocation.caller
    return {
        "id": invocation.invocation_id,
        "organization_id": caller.organization_id,
        "idempotency_key": invocation.idempotency_key,
        "fingerprint": invocation.fingerprint,
        "workflow_id": workflow_id,
        "key_id": caller.key_id,
        "agent_id": caller.agent_id,
        "user_id": caller.user_id,
        "workflow_execution_id": caller.workflow_execution_id,
        "node_id": caller.node_id,
        "region": caller.region,
        "plan": caller.plan,
        "labels": as_json(invocation.metadata),
        "model": invocation.model,
        "stream": invocation.stream,
        "accepted_at": invocation.accepted_at,
    }


def opening(attempt: Opening) -> dict[str, Any]:
    step = attempt.step
    return {
        "deployment_id": step.deployment_id,
        "step_model": step.model,
        "provider": step.provider,
        "step_region": step.region,
        "lane": step.lane,
        "tokens_input_estimate": attempt.tokens_input_estimate,
        "usd_cost_estimate": attempt.usd_cost_estimate,
        "usd_worst": attempt.usd_worst,
    }


def settlement(invocation: InvocationInput, outcome: AttemptOutcome) -> dict[str, Any]:
    usage, caller = outcome.usage, invocation.caller
    return {
        "invocation_id": invocation.invocation_id,
        "number": outcome.number,
        "attempt_status": outcome.status,
        "usage": None if usage is None else storable(usage.model_dump_json()),
        "tokens_input": 0 if usage is None else usage.prompt_tokens,
        "tokens_output": 0 if usage is None else usage.completion_tokens,
        "usage_estimated": outcome.usage_estimated,
        "usd_cost": outcome.usd_cost,
        "price_source": outcome.price_source,
        "answer": None if outcome.answer is None else storable(outcome.answer.model_dump_json()),
        "outcome": storable(outcome.model_dump_json(exclude={"answer"})),
        "attempt_error": None if outcome.error is None else storable(outcome.error.model_dump_json()),
        "provider_ms": outcome.provider_ms,
        "time_to_first_token_ms": outcome.time_to_first_token_ms,
        "cost_id": new_id(),
        "agent_id": caller.agent_id,
        "user_id": caller.user_id,
        "workflow_execution_id": caller.workflow_execution_id,
        "node_id": caller.node_id,
        "organization_id": caller.organization_id,
    }


def settlement_or_nothing(invocation: InvocationInput, outcome: AttemptOutcome | None) -> dict[str, Any]:
    if outcome is not None:
        return settlement(invocation, outcome)
    return {
        "invocation_id": invocation.invocation_id,
        "organization_id": invocation.caller.organization_id,
        "user_id": invocation.caller.user_id,
        "number": 0,
        "usd_cost": None,
        "tokens_input": 0,
        "tokens_output": 0,
    }
