"""Rows for the tests: as the ledger would leave them, with only what a test cares about spelled out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from customhouse.storage.ids import new_id
from customhouse.storage.models import Attempt, Invocation, ModelCostLog

START = datetime(2026, 8, 3, 10, 30, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


async def add_invocation(engine: AsyncEngine, organization_id: UUID, **values: Any) -> UUID:
    row = {
        "id": new_id(),
        "organization_id": organization_id,
        "idempotency_key": str(new_id()),
        "fingerprint": "f",
        "workflow_id": "w",
        "model": "m",
        "status": "completed",
        "verdict": "allow",
        "created_at": START,
        **values,
    }
    async with engine.begin() as connection:
        await connection.execute(insert(Invocation), row)
    return UUID(str(row["id"]))


async def add_attempt(engine: AsyncEngine, organization_id: UUID, invocation_id: UUID, **values: Any) -> None:
    row = {
        "invocation_id": invocation_id,
        "number": 1,
        "organization_id": organization_id,
        "deployment_id": "m@p@eu",
        "model": "m",
        "provider": "p",
        "region": "eu",
        "lane": "local",
        "status": "succeeded",
        **values,
    }
    async with engine.begin() as connection:
        await connection.execute(insert(Attempt), row)


async def add_cost(engine: AsyncEngine, organization_id: UUID, **values: Any) -> UUID:
    row = {
        "id": new_id(),
        "created_at": START,
        "organization_id": organization_id,
        "invocation_id": new_id(),
        "attempt_number": 1,
        "model": "m",
        "provider": "p",
        "region": "eu",
        "deployment_id": "m@p@eu",
        "attempt_status": "succeeded",
        "tokens_input": 10,
        "tokens_output": 5,
        "usd_cost": Decimal("0.001"),
        **values,
    }
    async with engine.begin() as connection:
        await connection.execute(insert(ModelCostLog), row)
    return UUID(str(row["id"]))
