"""The cost log as it is read: single rows, and sums by whatever the caller wants to know the cost of."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from customhouse.contracts.errors import UnprocessableField
from customhouse.contracts.invocation import AttemptStatus
from customhouse.contracts.money import Usd
from customhouse.storage.engine import in_transaction, reader
from customhouse.storage.filters import CallerFilter
from customhouse.storage.models import ModelCostLog
from customhouse.storage.pages import Page, PageRequest, Term

MOST_SUMS = 10_000
"""Groups in one answer. More is refused rather than cut off: a sum that leaves rows out is wrong."""


class CostLogFilter(CallerFilter):
    """What a list or a sum is narrowed to. Every field that is set must match."""

    provider: Term | None = None
    region: Term | None = None


class CostLogRecord(BaseModel):
    """What one attempt cost."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    created_at: datetime
    invocation_id: UUID
    attempt_number: int
    agent_id: str | None
    user_id: str | None
    workflow_execution_id: str | None
    node_id: str | None
    model: str
    provider: str
    region: str
    deployment_id: str
    attempt_status: AttemptStatus
    tokens_input: int
    tokens_output: int
    usage_estimated: bool
    usd_cost: Usd | None
    """None where the price is not known."""
    price_source: str | None


class Dimension(StrEnum):
    """What costs can be summed by."""

    AGENT_ID = "agent_id"
    WORKFLOW_EXECUTION_ID = "workflow_execution_id"
    NODE_ID = "node_id"
    MODEL = "model"
    PROVIDER = "provider"
    REGION = "region"
    DEPLOYMENT_ID = "deployment_id"
    USER_ID = "user_id"
    DAY = "day"
    """In UTC."""
    HOUR = "hour"


class CostSum(BaseModel):
    """The cost of one group."""

    model_config = ConfigDict(frozen=True)

    group: dict[Dimension, datetime | str | None]
    """Its value in each dimension asked for; None where the rows name none (no agent, say)."""
    attempts: int
    invocations: int
    """Distinct ones."""
    tokens_input: int
    tokens_output: int
    usd_cost: Usd | None
    """Of the attempts with a known price; None if no attempt has one."""
    unpriced: int
    """Attempts without a known price, which `usd_cost` leaves out."""


class CostLogs:
    """Reads an organization's cost log."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = reader(engine)

    async def list_page(
        self, organization_id: UUID, narrowed: CostLogFilter, request: PageRequest
    ) -> Page[CostLogRecord]:
        """One page, newest first."""
        statement = request.select(
            select(*_COLUMNS).where(
                ModelCostLog.organization_id == organization_id, *narrowed.conditions(ModelCostLog)
            ),
            ModelCostLog.created_at,
            ModelCostLog.id,
        )

        async def read(connection: AsyncConnection) -> Page[CostLogRecord]:
            return request.page((await connection.execute(statement)).all(), _cost_log)

        return await in_transaction(self._engine, read)

    async def sums(
        self, organization_id: UUID, narrowed: CostLogFilter, group_by: Sequence[Dimension]
    ) -> list[CostSum]:
        """Sums by each combination of the dimensions, the dearest first; by none of them: one sum over all.

        Raises UnprocessableField, naming `group_by`, where that makes more than 10,000 groups.
        """
        dimensions = list(dict.fromkeys(group_by))
        groups = [_grouping(dimension).label(dimension.value) for dimension in dimensions]
        usd_cost = func.sum(ModelCostLog.usd_cost).label("usd_cost")
        statement = (
            select(
                *groups,
                func.count().label("attempts"),
                func.count(ModelCostLog.invocation_id.distinct()).label("invocations"),
                func.coalesce(func.sum(ModelCostLog.tokens_input), 0).label("tokens_input"),
                func.coalesce(func.sum(ModelCostLog.tokens_output), 0).label("tokens_output"),
                usd_cost,
                func.count().filter(ModelCostLog.usd_cost.is_(None)).label("unpriced"),
            )
            .where(ModelCostLog.organization_id == organization_id, *narrowed.conditions(ModelCostLog))
            .group_by(*groups)
            .order_by(usd_cost.desc().nulls_last(), *groups)
            .limit(MOST_SUMS + 1)
        )

        async def read(connection: AsyncConnection) -> Sequence[Row[*tuple[Any, ...]]]:
            return (await connection.execute(statement)).all()

        rows = await in_transaction(self._engine, read)
        if len(rows) > MOST_SUMS:
            raise UnprocessableField(
                f"Grouped by {', '.join(dimensions)} there are more than {MOST_SUMS} sums. Narrow the time or the "
                "filters, or group by fewer.",
                param="group_by",
            )
        return [_sum(row, dimensions) for row in rows]


def _grouping(dimension: Dimension) -> ColumnElement[Any]:
    if dimension in (Dimension.DAY, Dimension.HOUR):
        return func.date_trunc(dimension.value, ModelCostLog.created_at, "UTC")
    column: ColumnElement[Any] = getattr(ModelCostLog, dimension.value)
    return column


def _cost_log(row: Row[*tuple[Any, ...]]) -> CostLogRecord:
    return CostLogRecord(**row._asdict())


def _sum(row: Row[*tuple[Any, ...]], dimensions: Sequence[Dimension]) -> CostSum:
    values = row._asdict()
    group = {dimension: values.pop(dimension.value) for dimension in dimensions}
    return CostSum(group=group, **values)


_COLUMNS = tuple(getattr(ModelCostLog, name) for name in CostLogRecord.model_fields)
