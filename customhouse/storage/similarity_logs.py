"""The similarity log as it is read: row by row, and what near-duplicates cost."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, Row, case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from customhouse.contracts.money import Usd
from customhouse.storage.engine import in_transaction, reader
from customhouse.storage.models import ModelCostLog, PromptSimLog
from customhouse.storage.pages import Moment, Page, PageRequest, Term

PromptHash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class SimilarityLogFilter(BaseModel):
    """What a list or a sum is narrowed to. Every field that is set must match."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    agent_id: Term | None = None
    user_id: Term | None = None
    invocation_id: UUID | None = None
    prompt_hash: PromptHash | None = None
    """Of the prompt, or of the one that it came near to."""
    blocked: bool | None = None
    min_score: Annotated[float, Field(ge=-1, le=1)] | None = None
    """Inclusive. Prompts that nothing was near to have no score, and are left out."""
    near_copies: bool | None = None
    """True: only prompts at or above their threshold; false: only others."""
    created_from: Moment | None = None
    """Inclusive."""
    created_to: Moment | None = None
    """Exclusive."""

    def conditions(self) -> list[ColumnElement[bool]]:
        table = PromptSimLog
        asked = self.model_dump(exclude_none=True, include={"agent_id", "user_id", "invocation_id", "blocked"})
        conditions: list[ColumnElement[bool]] = [getattr(table, name) == value for name, value in asked.items()]
        if self.prompt_hash is not None:
            conditions.append((table.prompt_hash == self.prompt_hash) | (table.matched_prompt_hash == self.prompt_hash))
        if self.min_score is not None:
            conditions.append(table.similarity_score >= self.min_score)
        if self.near_copies is not None:
            conditions.append(func.coalesce(_IS_COPY, False) == self.near_copies)
        if self.created_from is not None:
            conditions.append(table.created_at >= self.created_from)
        if self.created_to is not None:
            conditions.append(table.created_at < self.created_to)
        return conditions


class SimilarityLogRecord(BaseModel):
    """How near one prompt came to an earlier one of its organization."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    created_at: datetime
    invocation_id: UUID | None
    prompt_hash: str
    """SHA-256 of organization id, colon and normalized prompt, in hexadecimal."""
    similarity_score: float | None
    """Cosine to the nearest earlier prompt, at most 1; null where there was none, or none was found in time."""
    threshold: float | None
    """From this score on the two counted as copies."""
    matched_prompt_hash: str | None
    matched_invocation_id: UUID | None
    blocked: bool
    user_id: str | None
    agent_id: str | None


class Savings(BaseModel):
    """What prompts cost that are copies of earlier ones: what a cache could have saved, at most."""

    model_config = ConfigDict(frozen=True)

    invocations: int
    """Prompts in the log."""
    usd_cost: Usd | None
    """What they cost together; null where no price is known."""
    exact_copies: int
    """Prompts with the same text, but for case and spacing, as the nearest earlier one."""
    exact_copies_usd: Usd | None
    near_copies: int
    """Prompts at or above their threshold, without the exact ones."""
    near_copies_usd: Usd | None


class SimilarityLogs:
    """Reads an organization's similarity log."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = reader(engine)

    async def list_page(
        self, organization_id: UUID, narrowed: SimilarityLogFilter, request: PageRequest
    ) -> Page[SimilarityLogRecord]:
        """One page, newest first."""
        statement = request.select(
            select(*_COLUMNS).where(PromptSimLog.organization_id == organization_id, *narrowed.conditions()),
            PromptSimLog.created_at,
            PromptSimLog.id,
        )

        async def read(connection: AsyncConnection) -> Page[SimilarityLogRecord]:
            return request.page((await connection.execute(statement)).all(), _record)

        return await in_transaction(self._engine, read)

    async def prompt_hash(self, organization_id: UUID, invocation_id: UUID) -> str | None:
        """Of the invocation's prompt; None where it was not compared, or its row has aged out."""
        statement = select(PromptSimLog.prompt_hash).where(
            PromptSimLog.organization_id == organization_id, PromptSimLog.invocation_id == invocation_id
        )

        async def read(connection: AsyncConnection) -> str | None:
            return (await connection.execute(statement.limit(1))).scalar_one_or_none()

        return await in_transaction(self._engine, read)

    async def savings(self, organization_id: UUID, narrowed: SimilarityLogFilter) -> Savings:
        """Sums over the prompts that match, by what their attempts cost."""
        prompts = (
            select(
                PromptSimLog.invocation_id,
                case((_IS_SAME, "exact"), (_IS_COPY, "near"), else_="new").label("kind"),
            )
            .where(PromptSimLog.organization_id == organization_id, *narrowed.conditions())
            .cte("prompts")
        )
        costs = (
            select(ModelCostLog.invocation_id, func.sum(ModelCostLog.usd_cost).label("usd_cost"))
            .where(
                ModelCostLog.organization_id == organization_id,
                ModelCostLog.invocation_id.in_(select(prompts.c.invocation_id)),
            )
            .group_by(ModelCostLog.invocation_id)
            .cte("costs")
        )
        exact, near = prompts.c.kind == "exact", prompts.c.kind == "near"
        statement = select(
            func.count().label("invocations"),
            func.sum(costs.c.usd_cost).label("usd_cost"),
            func.count().filter(exact).label("exact_copies"),
            func.sum(costs.c.usd_cost).filter(exact).label("exact_copies_usd"),
            func.count().filter(near).label("near_copies"),
            func.sum(costs.c.usd_cost).filter(near).label("near_copies_usd"),
        ).select_from(prompts.outerjoin(costs, costs.c.invocation_id == prompts.c.invocation_id))

        async def read(connection: AsyncConnection) -> Savings:
            return Savings(**(await connection.execute(statement)).one()._asdict())

        return await in_transaction(self._engine, read)


def _record(row: Row[*tuple[Any, ...]]) -> SimilarityLogRecord:
    return SimilarityLogRecord(**row._asdict())


_IS_COPY = PromptSimLog.similarity_score >= PromptSimLog.threshold
_IS_SAME = PromptSimLog.prompt_hash == PromptSimLog.matched_prompt_hash
_COLUMNS = tuple(getattr(PromptSimLog, name) for name in SimilarityLogRecord.model_fields)
