"""Rate limits: set, listed and removed by an organization's operators, and read whole by each process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from customhouse.contracts.errors import NotFound
from customhouse.contracts.money import Usd
from customhouse.contracts.rate_limits import LimitMetric, LimitRule, LimitScope
from customhouse.storage import audit
from customhouse.storage.engine import in_transaction, reader
from customhouse.storage.ids import new_id
from customhouse.storage.models import RateLimit

CHANGED_CHANNEL = "customhouse_limits"
"""On the bus: the organization whose limits have changed."""


class LimitRecord(LimitRule):
    """A limit as it is shown."""

    id: UUID
    organization_id: UUID
    amount: Usd
    """Requests, tokens or US dollars, as a decimal string."""
    updated_by: str
    created_at: datetime
    updated_at: datetime


class Limits:
    """Reads and changes limits. Every change is audited, and told to all processes when it is committed."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reader = reader(engine)

    async def put(self, organization_id: UUID, rule: LimitRule, *, actor: str) -> LimitRecord:
        """Set a limit, instead of the one with the same scope, subject, metric and window, if there is one."""
        values = rule.model_dump()

        async def work(connection: AsyncConnection) -> LimitRecord:
            row = (
                await connection.execute(
                    insert(RateLimit)
                    .values(id=new_id(), organization_id=organization_id, updated_by=actor, **values)
                    .on_conflict_do_update(
                        index_elements=["organization_id", "scope", "subject", "metric", "window_s"],
                        set_={"amount": rule.amount, "updated_by": actor, "updated_at": func.now()},
                    )
                    .returning(*_COLUMNS)
                )
            ).one()
            record = _record(row)
            await _changed(connection, record, "rate_limit.set", actor)
            return record

        return await in_transaction(self._engine, work)

    async def remove(self, organization_id: UUID, limit_id: UUID, *, actor: str) -> LimitRecord:
        """Raises NotFound, also for another organization's."""

        async def work(connection: AsyncConnection) -> LimitRecord:
            row = (
                await connection.execute(
                    delete(RateLimit)
                    .where(RateLimit.organization_id == organization_id, RateLimit.id == limit_id)
                    .returning(*_COLUMNS)
                )
            ).one_or_none()
            if row is None:
                raise NotFound(f"There is no limit {limit_id} in this organization.", param="limit_id")
            record = _record(row)
            await _changed(connection, record, "rate_limit.removed", actor)
            return record

        return await in_transaction(self._engine, work)

    async def list_all(self, organization_id: UUID) -> list[LimitRecord]:
        """By scope, subject, metric and window."""

        async def read(connection: AsyncConnection) -> list[LimitRecord]:
            rows = await connection.execute(
                select(*_COLUMNS)
                .where(RateLimit.organization_id == organization_id)
                .order_by(RateLimit.scope, RateLimit.subject, RateLimit.metric, RateLimit.window_s)
            )
            return [_record(row) for row in rows]

        return await in_transaction(self._reader, read)

    async def of_every_organization(self) -> Mapping[UUID, Sequence[LimitRule]]:
        """What a process starts with. No key reaches it."""

        async def read(connection: AsyncConnection) -> dict[UUID, list[LimitRule]]:
            found: dict[UUID, list[LimitRule]] = {}
            for row in await connection.execute(select(*_COLUMNS)):
                found.setdefault(row.organization_id, []).append(_record(row))
            return found

        return await in_transaction(self._reader, read)


async def _changed(connection: AsyncConnection, record: LimitRecord, action: str, actor: str) -> None:
    await audit.append(
        connection,
        record.organization_id,
        actor=actor,
        action=action,
        target=str(record.id),
        details=record.model_dump(mode="json", include=set(LimitRule.model_fields)),
    )
    await connection.execute(select(func.pg_notify(CHANGED_CHANNEL, str(record.organization_id))))


_COLUMNS = (
    RateLimit.id,
    RateLimit.organization_id,
    RateLimit.scope,
    RateLimit.subject,
    RateLimit.metric,
    RateLimit.amount,
    RateLimit.window_s,
    RateLimit.updated_by,
    RateLimit.created_at,
    RateLimit.updated_at,
)


def _record(row: Row[*tuple[Any, ...]]) -> LimitRecord:
    values = row._asdict()
    return LimitRecord(**{**values, "scope": LimitScope(row.scope), "metric": LimitMetric(row.metric)})
