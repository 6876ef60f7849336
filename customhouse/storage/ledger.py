"""The ledger: what is written while an invocation runs. Money stands or falls here.

Each method is ONE SQL statement, and so one transaction and one round trip, sent on an autocommit connection:
Postgres runs data-modifying CTEs on one snapshot and commits them together or not at all. Each can be repeated after a
crash without writing anything twice, because every insert hangs on a status that only one transaction can change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import TextClause
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncEngine

from customhouse.contracts.chat import ChatCompletion, Json
from customhouse.contracts.errors import ErrorRecord, IdempotencyMismatch, NotFound
from customhouse.contracts.invocation import (
    AttemptOutcome,
    Decision,
    InvocationInput,
    InvocationResult,
    InvocationStatus,
    RecordInput,
    RouteStep,
)
from customhouse.governance.journal import Event
from customhouse.storage import ledger_sql as sql
from customhouse.storage.ids import new_id

RECORDED_CHANNEL = "customhouse_recorded"
"""Bears `organization:invocation`, the ids of what has been recorded by another process than the one that waits."""

CANCEL_CHANNEL = "customhouse_cancel"
"""Bears a cancel to the process that makes the provider call."""

_UNKNOWN = ErrorRecord(
    code="attempt_unknown",
    message="The process died between this attempt's start and its record; it is charged with an estimate.",
    status=502,
)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The row that stands for an idempotency key."""

    invocation_id: UUID
    fingerprint: str
    status: InvocationStatus
    is_new: bool


@dataclass(frozen=True, slots=True)
class Cleared:
    """What stands in Postgres after `clear`: this decision, or the one that was made before a crash."""

    invocation_id: UUID
    status: InvocationStatus
    decision: Json | None
    """None where the decision that was passed is the one that stands."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An attempt that may now be made, or the settled one that was made before a crash."""

    number: int
    outcome: AttemptOutcome | None = None


def _json(value: Any) -> str:
    return orjson.dumps(value, default=str).decode()


class Ledger:
    """Writes invocations and attempts. `engine` should be autocommit: nothing here spans two statements."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def accept(self, invocation: InvocationInput, workflow_id: str) -> Accepted:
        """Claim the idempotency key, or say who holds it."""
        row = await self._one_or_none(sql.ACCEPT, _identity(invocation, workflow_id))
        if row is not None:
            return Accepted(invocation.invocation_id, invocation.fingerprint, InvocationStatus.ACCEPTED, is_new=True)
        row = await self._one_or_none(
            sql.BY_KEY,
            {"organization_id": invocation.caller.organization_id, "idempotency_key": invocation.idempotency_key},
        )
        if row is None:
            raise NotFound("The invocation that held this Idempotency-Key was erased just now; send the request again.")
        return Accepted(row.id, row.fingerprint, InvocationStatus(row.status), is_new=False)

    async def clear(
        self, invocation: InvocationInput, workflow_id: str, decision: Decision, request: Json | None
    ) -> Cleared:
        """Record the decision. Raises IdempotencyMismatch where the key stands for another request."""
        row = await self._one_or_none(
            sql.CLEAR,
            {
                **_identity(invocation, workflow_id),
                "request": None if request is None else _json(request),
                "verdict": decision.verdict,
                "policy_version": decision.policy_version,
                "decision": decision.model_dump_json(exclude={"settled"}),
            },
        )
        if row is None:
            raise IdempotencyMismatch(
                f"Idempotency-Key {invocation.idempotency_key!r} was used before with another request. "
                "Use a new key for a new request.",
                param="Idempotency-Key",
            )
        return Cleared(row.id, InvocationStatus(row.status), row.earlier)

    async def open_attempt(
        self,
        invocation: InvocationInput,
        step: RouteStep,
        *,
        after_attempt: int,
        tokens_input_estimate: int,
        usd_cost_estimate: Decimal | None,
    ) -> Opened:
        """Commit `started` before the provider is called; close what a crash has left open."""
        row = await self._one(
            sql.OPEN,
            {
                "invocation_id": invocation.invocation_id,
                "organization_id": invocation.caller.organization_id,
                "after_attempt": after_attempt,
                "deployment_id": step.deployment_id,
                "model": step.model,
                "provider": step.provider,
                "region": step.region,
                "lane": step.lane,
                "tokens_input_estimate": tokens_input_estimate,
                "usd_cost_estimate": usd_cost_estimate,
                "unknown_error": _UNKNOWN.model_dump_json(),
                "closing_cost_id": new_id(),
                "closing_event_id": new_id(),
            },
        )
        if row.settled is None:
            return Opened(row.opened)
        outcome = AttemptOutcome.model_validate(row.outcome)
        if row.answer is not None:
            outcome.answer = ChatCompletion.model_validate(row.answer)
        outcome.settled = True
        return Opened(row.settled, outcome)

    async def settle(self, invocation: InvocationInput, outcome: AttemptOutcome) -> None:
        """Settle an attempt that is not the invocation's last: a failure, or an answer to be repaired."""
        row = await self._one(sql.SETTLE, _settlement(invocation, outcome))
        if row.late:
            await self._retotal(invocation.invocation_id)

    async def finish(
        self,
        record: RecordInput,
        result: InvocationResult,
        events: Sequence[Event],
        *,
        elapsed_ms: float,
        notify: bool,
    ) -> InvocationResult:
        """End the invocation: its attempt, cost, events, spans and result, all or nothing.

        `elapsed_ms`: since the request came in; less the provider's time, it is the overhead. Returns the result that
        stands, which is an earlier one if the invocation had already ended.
        """
        invocation, outcome = record.invocation, record.outcome
        parameters: dict[str, Any] = {
            **_settlement_or_nothing(invocation, outcome),
            "status": record.status,
            "verdict": result.verdict,
            "deployment_id": result.deployment_id,
            "result": result.model_dump_json(
                exclude={"answer", "answer_ref", "attempts", "usd_cost", "provider_ms", "overhead_ms"}
            ),
            "attempts_here": 0 if outcome is None else 1,
            "answer_ref": None
            if outcome is None or outcome.answer_ref is None
            else outcome.answer_ref.model_dump_json(),
            "error": None if record.error is None else record.error.model_dump_json(),
            "elapsed_ms": elapsed_ms,
            "provider_ms": 0.0 if outcome is None else outcome.provider_ms,
            "events": _json(
                [
                    {
                        "id": new_id(),
                        "event_type": e.event_type,
                        "policy": e.policy,
                        "action": e.action,
                        "details": e.details,
                    }
                    for e in events
                ]
            ),
            "spans": _json([step.model_dump() for step in result.steps]),
            "channel": RECORDED_CHANNEL,
            "notify": notify,
        }
        settles = outcome is not None and not outcome.settled
        row = await self._one(sql.SETTLE_AND_FINISH if settles else sql.FINISH, parameters)
        if settles and not row.finished:
            await self._retotal(invocation.invocation_id)
        if row.result is None:  # another transaction ended it while this one waited for the row's lock
            standing = await self.result(invocation.caller.organization_id, invocation.invocation_id)
            if standing is None:
                raise NotFound(f"Invocation {invocation.invocation_id} has no row to record its end in.")
            return standing
        return InvocationResult.model_validate(row.result)

    async def abandon(self, organization_id: UUID, invocation_id: UUID, error: ErrorRecord) -> InvocationResult | None:
        """End an invocation whose workflow is gone; what it had started is charged with its estimate."""
        async with self._engine.connect() as connection:
            await connection.execute(
                sql.ABANDON,
                {
                    "organization_id": organization_id,
                    "invocation_id": invocation_id,
                    "error": error.model_dump_json(),
                    "unknown_error": _UNKNOWN.model_dump_json(),
                    "closing_cost_id": new_id(),
                    "closing_event_id": new_id(),
                    "event_id": new_id(),
                },
            )
            await connection.execute(sql.RETOTAL, {"invocation_id": invocation_id})
        return await self.result(organization_id, invocation_id)

    async def result(self, organization_id: UUID, invocation_id: UUID) -> InvocationResult | None:
        """The recorded result without its answer, or None while the invocation runs or if there is none."""
        row = await self._one_or_none(sql.RESULT, {"organization_id": organization_id, "invocation_id": invocation_id})
        return None if row is None or row.result is None else InvocationResult.model_validate(row.result)

    async def _retotal(self, invocation_id: UUID) -> None:
        async with self._engine.connect() as connection:
            await connection.execute(sql.RETOTAL, {"invocation_id": invocation_id})

    async def _one(self, statement: TextClause, parameters: Mapping[str, Any]) -> Row[Any]:
        async with self._engine.connect() as connection:
            return (await connection.execute(statement, parameters)).one()

    async def _one_or_none(self, statement: TextClause, parameters: Mapping[str, Any]) -> Row[Any] | None:
        async with self._engine.connect() as connection:
            return (await connection.execute(statement, parameters)).one_or_none()


def _identity(invocation: InvocationInput, workflow_id: str) -> dict[str, Any]:
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
        "labels": _json(invocation.metadata),
        "model": invocation.model,
        "stream": invocation.stream,
        "accepted_at": invocation.accepted_at,
    }


def _settlement(invocation: InvocationInput, outcome: AttemptOutcome) -> dict[str, Any]:
    usage, caller = outcome.usage, invocation.caller
    return {
        "invocation_id": invocation.invocation_id,
        "number": outcome.number,
        "attempt_status": outcome.status,
        "usage": None if usage is None else usage.model_dump_json(),
        "tokens_input": 0 if usage is None else usage.prompt_tokens,
        "tokens_output": 0 if usage is None else usage.completion_tokens,
        "usage_estimated": outcome.usage_estimated,
        "usd_cost": outcome.usd_cost,
        "price_source": outcome.price_source,
        "answer": None if outcome.answer is None else outcome.answer.model_dump_json(),
        "outcome": outcome.model_dump_json(exclude={"answer"}),
        "attempt_error": None if outcome.error is None else outcome.error.model_dump_json(),
        "provider_ms": outcome.provider_ms,
        "time_to_first_token_ms": outcome.time_to_first_token_ms,
        "cost_id": new_id(),
        "agent_id": caller.agent_id,
        "user_id": caller.user_id,
        "workflow_execution_id": caller.workflow_execution_id,
        "node_id": caller.node_id,
        "organization_id": caller.organization_id,
    }


def _settlement_or_nothing(invocation: InvocationInput, outcome: AttemptOutcome | None) -> dict[str, Any]:
    if outcome is not None:
        return _settlement(invocation, outcome)
    return {
        "invocation_id": invocation.invocation_id,
        "organization_id": invocation.caller.organization_id,
        "user_id": invocation.caller.user_id,
        "number": 0,
        "usd_cost": None,
        "tokens_input": 0,
        "tokens_output": 0,
    }
