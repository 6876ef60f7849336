"""How long deployments took of late: what the choice of the lane goes by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from customhouse.storage.engine import in_transaction, reader

SAMPLES = 50
"""Succeeded attempts looked at, of each deployment: enough for a 95th percentile, few enough to follow a change."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Of one deployment."""

    p95_ms: float
    """The provider's time."""
    samples: int


_RECENT = text(
    """
    SELECT d.id, percentile_disc(0.95) WITHIN GROUP (ORDER BY a.provider_ms) AS p95_ms, count(*) AS samples
    FROM unnest(CAST(:deployment_ids AS text[])) AS d(id)
    CROSS JOIN LATERAL (
        SELECT provider_ms FROM attempts
        WHERE deployment_id = d.id AND status = 'succeeded' AND provider_ms IS NOT NULL
        ORDER BY started_at DESC LIMIT :samples
    ) AS a
    GROUP BY d.id
    """
)


async def recent_latency(engine: AsyncEngine, deployment_ids: Sequence[str]) -> dict[str, Latency]:
    """Of each deployment that has ever answered; over all organizations, since it is as fast for one as for another."""

    async def read(connection: AsyncConnection) -> dict[str, Latency]:
        rows = await connection.execute(_RECENT, {"deployment_ids": list(deployment_ids), "samples": SAMPLES})
        return {row.id: Latency(row.p95_ms, row.samples) for row in rows}

    return await in_transaction(reader(engine), read)
