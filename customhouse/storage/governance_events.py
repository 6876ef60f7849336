"""Governance events that belong to no invocation: refused callers, above all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from customhouse.storage.engine import in_transaction, without_nul
from customhouse.storage.ids import new_id
from customhouse.storage.models import GovernanceEvent


@dataclass(frozen=True, slots=True)
class EventRow:
    """One row. Its details never hold content."""

    organization_id: UUID
    event_type: str
    action: str | None = None
    user_id: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


class GovernanceEvents:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def write(self, rows: Sequence[EventRow]) -> None:
        """All of them in one statement. Raises NotReady while Postgres is away."""
        values = [
            {
                "id": new_id(),
                "organization_id": row.organization_id,
                "event_type": row.event_type,
                "action": row.action,
                "user_id": without_nul(row.user_id),
                "details": dict(row.details),
            }
            for row in rows
        ]

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(insert(GovernanceEvent), values)

        await in_transaction(self._engine, work)
