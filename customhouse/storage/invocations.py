"""Invocations as they are read: lists and single ones with their attempts. `ledger.py` writes them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Row, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from customhouse.contracts.chat import Json
from customhouse.contracts.errors import ErrorRecord
from customhouse.contracts.governance import Verdict
from customhouse.contracts.invocation import AttemptStatus, InvocationResult, InvocationStatus, Lane
from customhouse.contracts.money import Usd
from customhouse.storage.engine import in_transaction, reader
from customhouse.storage.filters import CallerFilter
from customhouse.storage.models import Attempt, Invocation
from customhouse.storage.pages import Page, PageRequest


class InvocationFilter(CallerFilter):
    """What a list is narrowed to. Every field that is set must match."""

    status: InvocationStatus | None = None
    verdict: Verdict | None = None


class InvocationSummary(BaseModel):
    """An invocation as lists show it."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    workflow_id: str
    idempotency_key: str
    key_id: UUID | None
    agent_id: str | None
    user_id: str | None
    workflow_execution_id: str | None
    node_id: str | None
    region: str | None
    plan: str | None
    labels: dict[str, str]
    model: str
    stream: bool
    status: InvocationStatus
    verdict: Verdict | None
    """None until the checks have run."""
    policy_version: str | None
    deployment_id: str | None
    """The one that answered."""
    error: ErrorRecord | None
    usd_cost: Usd | None
    """Over all attempts; None while none has a known price."""
    tokens_input: int | None
    tokens_output: int | None
    overhead_ms: float | None
    provider_ms: float | None
    created_at: datetime
    finished_at: datetime | None


class AttemptRecord(BaseModel):
    """One call to one deployment."""

    model_config = ConfigDict(frozen=True)

    number: int
    deployment_id: str
    model: str
    provider: str
    region: str
    lane: Lane
    status: AttemptStatus
    tokens_input: int | None
    tokens_output: int | None
    usage: Json | None
    usage_estimated: bool
    usd_cost: Usd | None
    price_source: str | None
    answer: Json | None
    """A chat completion; None where there is none, or where it lies in `contents` (`outcome.answer_ref`)."""
    outcome: Json | None
    """`AttemptOutcome` without the answer; None until it is settled."""
    error: ErrorRecord | None
    provider_ms: float | None
    time_to_first_token_ms: float | None
    started_at: datetime
    settled_at: datetime | None


class InvocationDetail(InvocationSummary):
    """One invocation with all that is stored of it."""

    request: Json | None
    """As the provider saw it: with redactions applied."""
    decision: Json | None
    """`Decision`."""
    result: Json | None
    """`InvocationResult` without the answer, which the winning attempt holds."""
    attempts: list[AttemptRecord]


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An invocation without an end."""

    id: UUID
    organization_id: UUID
    workflow_id: str


class Invocations:
    """Reads an organization's invocations."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = reader(engine)

    async def get(self, organization_id: UUID, invocation_id: UUID) -> InvocationDetail | None:
        """None where the organization has no such invocation."""

        async def read(connection: AsyncConnection) -> InvocationDetail | None:
            row = (
                await connection.execute(
                    select(*_DETAIL_COLUMNS).where(
                        Invocation.id == invocation_id, Invocation.organization_id == organization_id
                    )
                )
            ).one_or_none()
            if row is None:
                return None
            attempts = await connection.execute(
                select(*_ATTEMPT_COLUMNS).where(Attempt.invocation_id == invocation_id).order_by(Attempt.number)
            )
            return InvocationDetail(**row._asdict(), attempts=[AttemptRecord(**a._asdict()) for a in attempts])

        return await in_transaction(self._engine, read)

    async def result(self, organization_id: UUID, invocation_id: UUID) -> InvocationResult | None:
        """The recorded result with its answer; None while the invocation runs, or where there is none such."""

        async def read(connection: AsyncConnection) -> InvocationResult | None:
            row = (
                await connection.execute(_RESULT, {"id": invocation_id, "organization_id": organization_id})
            ).one_or_none()
            return None if row is None else InvocationResult.model_validate({**row.result, "answer": row.answer})

        return await in_transaction(self._engine, read)

    async def unfinished(self, older_than: timedelta, *, after: UUID | None, limit: int) -> list[Unfinished]:
        """Invocations without an end, of all organizations, by id: for housekeeping; no key reaches it."""
        statement = (
            select(Invocation.id, Invocation.organization_id, Invocation.workflow_id)
            .where(
                Invocation.status.in_([InvocationStatus.ACCEPTED, InvocationStatus.RUNNING]),
                Invocation.created_at < func.now() - older_than,
                *(() if after is None else (Invocation.id > after,)),
            )
            .order_by(Invocation.id)
            .limit(limit)
        )

        async def read(connection: AsyncConnection) -> list[Unfinished]:
            rows = await connection.execute(statement)
            return [Unfinished(row.id, row.organization_id, row.workflow_id) for row in rows]

        return await in_transaction(self._engine, read)

    async def list_page(
        self, organization_id: UUID, narrowed: InvocationFilter, request: PageRequest
    ) -> Page[InvocationSummary]:
        """One page, newest first."""
        statement = request.select(
            select(*_SUMMARY_COLUMNS).where(
                Invocation.organization_id == organization_id, *narrowed.conditions(Invocation)
            ),
            Invocation.created_at,
            Invocation.id,
        )

        async def read(connection: AsyncConnection) -> Page[InvocationSummary]:
            return request.page((await connection.execute(statement)).all(), _summary)

        return await in_transaction(self._engine, read)


def _summary(row: Row[*tuple[Any, ...]]) -> InvocationSummary:
    return InvocationSummary(**row._asdict())


# Where a repair followed, several attempts have succeeded: the last one answered. A blocked invocation's attempt may
# hold the very answer that was blocked, so only a completed one hands an answer out.
_WINNING_ANSWER = (
    select(Attempt.answer)
    .where(
        Attempt.invocation_id == Invocation.id,
        Attempt.status == AttemptStatus.SUCCEEDED,
        Invocation.status == InvocationStatus.COMPLETED,
    )
    .order_by(Attempt.number.desc())
    .limit(1)
    .scalar_subquery()
)
_RESULT = select(Invocation.result, _WINNING_ANSWER.label("answer")).where(
    Invocation.id == bindparam("id"),
    Invocation.organization_id == bindparam("organization_id"),
    Invocation.result.is_not(None),
)
_SUMMARY_COLUMNS = tuple(getattr(Invocation, name) for name in InvocationSummary.model_fields)
_DETAIL_COLUMNS = tuple(getattr(Invocation, name) for name in InvocationDetail.model_fields if name != "attempts")
_ATTEMPT_COLUMNS = tuple(getattr(Attempt, name) for name in AttemptRecord.model_fields)
