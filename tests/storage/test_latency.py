from __future__ import annotations

from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncEngine

from customhouse.storage.latency import SAMPLES, Latency, recent_latency
from tests.storage.rows import add_attempt, add_invocation, at


async def test_the_95th_percentile_of_the_last_fifty_that_succeeded(engine: AsyncEngine, organization: UUID) -> None:
    invocation = await add_invocation(engine, organization)
    deployment = f"m@p@{uuid4()}"

    async def attempt(number: int, provider_ms: float | None, status: str = "succeeded") -> None:
        await add_attempt(
            engine,
            organization,
            invocation,
            number=number,
            deployment_id=deployment,
            status=status,
            provider_ms=provider_ms,
            started_at=at(number),
        )

    for number in range(10):  # too old to count
        await attempt(number, 60_000)
    for number in range(SAMPLES):
        await attempt(100 + number, float(number + 1))
    await attempt(200, 90_000, "failed")
    await attempt(201, None)
    latency = await recent_latency(engine, [deployment, "never@called@eu"])
    assert latency == {deployment: Latency(p95_ms=48.0, samples=50)}


async def test_of_no_deployments_nothing_is_known(engine: AsyncEngine) -> None:
    assert await recent_latency(engine, []) == {}
