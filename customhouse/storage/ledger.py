"""The ledger: what is written while an invocation runs. Money stands or falls here.

Each method is ONE SQL statement, and so one transaction and one round trip, sent on an autocommit connection:
Postgres runs data-modifying CTEs on one snapshot and commits them together or not at all. Each can be repeated after a
crash without writing anything twice, because every insert hangs on a status that only one transaction can change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from customhouse.contracts.budgets import Shortage
from customhouse.contracts.chat import ChatCompletion, Json
from customhouse.contracts.errors import Conflict, ErrorRecord, IdempotencyMismatch, NotFound
from customhouse.contracts.invocation import (
    AttemptOutcome,
    Decision,
    InvocationInput,
    InvocationResult,
    InvocationStatus,
    RecordInput,
)
from customhouse.governance.budgets.refusals import refusal
from customhouse.governance.journal import Event
from customhouse.storage import ledger_sql as sql
from customhouse.storage.ids import new_id
from customhouse.storage.ledger_rows import Opening, as_json, identity, opening, settlement, settlement_or_nothing
from customhouse.storage.similarity_rows import SimilarityRow, similarity
from customhouse.storage.statements import Statements, storable

RECORDED_CHANNEL = "customhouse_recorded"
"""Bears `organization:invocation`, the ids of what has been recorded by another process than the one that waits."""

CANCEL_CHANNEL = "customhouse_cancel"
"""Bears a cancel to the process that makes the provider call."""

_ADDED_BY_STATEMENT = {"answer", "answer_ref", "attempts", "usd_cost", "provider_ms", "overhead_ms"}
"""Of the stored result: what only the database knows (sums over attempts), or holds elsewhere (the answer)."""

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
    opened: bool = False
    """Whether the first attempt was opened with it."""
    is_budgeted: bool = False
    """Whether that attempt holds a part of a budget."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The result that stands, without its answer."""

    result: InvocationResult
    here: bool
    """False where it stood already: its answer may be another than the one at hand."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An attempt that may now be made, or the settled one that was made before a crash."""

    number: int
    outcome: AttemptOutcome | None = None
    is_budgeted: bool = False
    """Whether it holds a part of a budget."""


class Ledger:
    """Writes invocations and attempts."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    async def accept(self, invocation: InvocationInput, workflow_id: str) -> Accepted:
        """Claim the idempotency key, or say who holds it."""
        row = await self._statements.one_or_none(sql.ACCEPT, identity(invocation, workflow_id))
        if row is not None:
            return Accepted(invocation.invocation_id, invocation.fingerprint, InvocationStatus.ACCEPTED, is_new=True)
        row = await self._statements.one_or_none(
            sql.BY_KEY,
            {"organization_id": invocation.caller.organization_id, "idempotency_key": invocation.idempotency_key},
        )
        if row is None:
            raise NotFound("The invocation that held this Idempotency-Key was erased just now; send the request again.")
        return Accepted(row.id, row.fingerprint, InvocationStatus(row.status), is_new=False)

    async def clear(
        self,
        invocation: InvocationInput,
        workflow_id: str,
        decision: Decision,
        request: Json | None,
        first: Opening | None = None,
        prompt: SimilarityRow | None = None,
    ) -> Cleared:
        """Record the decision, with what its prompt was near to; unless an earlier one stands, open the first attempt.

        Raises IdempotencyMismatch where the key stands for another request.
        """
        row = await self._statements.one_or_none(
            sql.CLEAR if first is None else sql.CLEAR_AND_OPEN,
            {
                **identity(invocation, workflow_id),
                **({} if first is None else opening(first)),
                **similarity(prompt),
                "request": None if request is None else as_json(request),
                "verdict": decision.verdict,
                "policy_version": decision.policy_version,
                "decision": storable(decision.model_dump_json(exclude={"settled"})),
            },
        )
        if row is None:
            raise IdempotencyMismatch(
                f"Idempotency-Key {invocation.idempotency_key!r} was used before with another request. "
                "Use a new key for a new request.",
                param="Idempotency-Key",
            )
        budgeted = None if first is None else row.is_budgeted
        return Cleared(row.id, InvocationStatus(row.status), row.earlier, budgeted is not None, bool(budgeted))

    async def open_attempt(self, invocation: InvocationInput, attempt: Opening, *, after_attempt: int) -> Opened:
        """Commit `started` before the provider is called; close what a crash has left open.

        Raises BudgetExceeded, or one of its kinds, where a hard budget has no room for the worst it may cost, and
        Conflict where the invocation has ended meanwhile: a worker that had stalled comes too late.
        """
        row = await self._statements.one(
            sql.OPEN,
            {
                "invocation_id": invocation.invocation_id,
                "organization_id": invocation.caller.organization_id,
                "after_attempt": after_attempt,
                **opening(attempt),
                **_closing(),
            },
        )
        if row.refused is not None:
            raise refusal([Shortage.model_validate(each) for each in row.refused], attempt.step.deployment_id)
        if row.settled is None and row.opened is None:
            raise Conflict(f"Invocation {invocation.invocation_id} has ended: no attempt is made for it any more.")
        if row.settled is None:
            return Opened(row.opened, is_budgeted=row.is_budgeted)
        outcome = AttemptOutcome.model_validate(row.outcome)
        if row.answer is not None:
            outcome.answer = ChatCompletion.model_validate(row.answer)
        outcome.settled = True
        return Opened(row.settled, outcome)

    async def extend(self, invocation_id: UUID, number: int, usd: Decimal) -> list[Shortage]:
        """Hold `usd` more of the budgets of an attempt that goes on; those that have no room, where nothing is held."""
        row = await self._statements.one(sql.EXTEND, {"invocation_id": invocation_id, "number": number, "usd": usd})
        return [Shortage.model_validate(each) for each in row.refused or ()]

    async def settle(self, invocation: InvocationInput, outcome: AttemptOutcome) -> None:
        """Settle an attempt that is not the invocation's last: a failure, or an answer to be repaired."""
        row = await self._statements.one(sql.SETTLE, settlement(invocation, outcome))
        if row.late or row.has_ended:
            await self._retotal(invocation.invocation_id)

    async def finish(
        self,
        record: RecordInput,
        result: InvocationResult,
        events: Sequence[Event],
        *,
        elapsed_ms: float,
        notify: bool,
    ) -> Finished:
        """End the invocation: its attempt, cost, events, spans and result, all or nothing.

        `elapsed_ms`: since the request came in; less the provider's time, it is the overhead. The result that stands is
        an earlier one if the invocation had already ended. Raises Conflict where its attempt was given up for lost.
        """
        invocation, outcome = record.invocation, record.outcome
        parameters: dict[str, Any] = {
            **settlement_or_nothing(invocation, outcome),
            "status": record.status,
            "verdict": result.verdict,
            "deployment_id": result.deployment_id,
            "result": storable(result.model_dump_json(exclude=_ADDED_BY_STATEMENT)),
            "attempts_here": 0 if outcome is None else 1,
            "answer_ref": None
            if outcome is None or outcome.answer_ref is None
            else outcome.answer_ref.model_dump_json(),
            "error": None if record.error is None else storable(record.error.model_dump_json()),
            "elapsed_ms": elapsed_ms,
            "provider_ms": 0.0 if outcome is None else outcome.provider_ms,
            "events": as_json(
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
            "spans": as_json([step.model_dump() for step in result.steps]),
            "channel": RECORDED_CHANNEL,
            "notify": notify,
        }
        settles = outcome is not None and not outcome.settled
        row = await self._statements.one(sql.SETTLE_AND_FINISH if settles else sql.FINISH, parameters)
        unheard = settles and not row.settled
        if unheard and outcome is not None:
            # It was settled before, and the commit went unheard; or it was closed as unknown, and now comes the truth.
            stood = await self._statements.one(sql.SETTLE, settlement(invocation, outcome))
            if row.result is None and stood.status == outcome.status:
                row = await self._statements.one(sql.FINISH, parameters)
        if row.left_open and row.finished:  # its worker died and nobody took the call up again, or it goes on unheard
            await self._statements.run(sql.CLOSE, {"invocation_id": invocation.invocation_id, **_closing()})
        if unheard or (settles and not row.finished) or (row.left_open and row.finished):
            await self._retotal(invocation.invocation_id)
        if row.result is not None:
            return Finished(InvocationResult.model_validate(row.result), here=row.finished > 0)
        # Another transaction may have ended it while this one waited for the row's lock.
        standing = await self.result(invocation.caller.organization_id, invocation.invocation_id)
        if standing is None:
            raise Conflict(
                f"Invocation {invocation.invocation_id} was not ended here: its attempt had been given up "
                "for lost, and another worker goes on with it."
            )
        return Finished(standing, here=False)

    async def abandon(
        self,
        organization_id: UUID,
        invocation_id: UUID,
        error: ErrorRecord,
        status: InvocationStatus = InvocationStatus.FAILED,
    ) -> InvocationResult | None:
        """End an invocation that nobody will record any more; what it had started is charged with its estimate."""
        await self._statements.run(
            sql.ABANDON,
            {
                "organization_id": organization_id,
                "invocation_id": invocation_id,
                "status": status,
                "error": storable(error.model_dump_json()),
                **_closing(),
                "event_id": new_id(),
            },
        )
        await self._retotal(invocation_id)
        return await self.result(organization_id, invocation_id)

    async def close_left_open(self, older_than: timedelta) -> bool:
        """Charge one attempt that is open though its invocation ended `older_than` ago; False where there is none."""
        row = await self._statements.one_or_none(sql.LEFT_OPEN, {"older_than": older_than})
        if row is None:
            return False
        await self._statements.run(sql.CLOSE, {"invocation_id": row.id, **_closing()})
        await self._retotal(row.id)
        return True

    async def result(self, organization_id: UUID, invocation_id: UUID) -> InvocationResult | None:
        """The recorded result without its answer, or None while the invocation runs or if there is none."""
        row = await self._statements.one_or_none(
            sql.RESULT, {"organization_id": organization_id, "invocation_id": invocation_id}
        )
        return None if row is None or row.result is None else InvocationResult.model_validate(row.result)

    async def _retotal(self, invocation_id: UUID) -> None:
        await self._statements.run(sql.RETOTAL, {"invocation_id": invocation_id})


def _closing() -> dict[str, Any]:
    """For the attempt, at most one, that a crash has left open."""
    return {
        "unknown_error": _UNKNOWN.model_dump_json(),
        "closing_cost_id": new_id(),
        "closing_event_id": new_id(),
    }
