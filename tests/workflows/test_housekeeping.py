"""The hourly round: partitions, and invocations that nobody works on any more."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from customhouse.contracts.housekeeping import HousekeepingResult
from tests.doubles.house import House, Tenant
from tests.doubles.provider import ProviderDouble
from workers.schedules import ensure_schedules
from workflows.housekeeping import Housekeeping

HELLO: Any = [{"role": "user", "content": "Say hello."}]


async def keep_house(house: House) -> HousekeepingResult:
    return await house.parts.temporal.execute_workflow(
        Housekeeping.run, id=f"housekeeping-{uuid4()}", task_queue=house.parts.settings.task_queue
    )


async def make_unfinished(house: House, tenant: Tenant, *, minutes_old: int, workflow_id: str) -> None:
    """An invocation whose row says that it runs, with an attempt under way, as a crash leaves it."""
    await tenant.openai.chat.completions.create(model="solo", messages=HELLO)
    (row,) = await tenant.ended()
    await house.change("DELETE FROM model_cost_logs WHERE invocation_id = :id", id=row["id"])
    await house.change(
        "UPDATE attempts SET status = 'started', settled_at = NULL, usd_cost = NULL WHERE invocation_id = :id",
        id=row["id"],
    )
    await house.change(
        "UPDATE invocations SET status = 'running', result = NULL, finished_at = NULL, usd_cost = NULL,"
        " created_at = now() - make_interval(mins => :minutes), workflow_id = :workflow_id WHERE id = :id",
        id=row["id"],
        minutes=minutes_old,
        workflow_id=workflow_id,
    )


@pytest.mark.usefixtures("provider")
class TestAbandoned:
    async def test_is_closed_and_charged(self, house: House, tenant: Tenant) -> None:
        await make_unfinished(house, tenant, minutes_old=11, workflow_id="never-started")
        assert (await keep_house(house)).invocations.closed == 1
        (row,) = await tenant.invocations()
        assert row["status"] == "failed"
        assert "new Idempotency-Key" in row["error"]["message"]
        (cost,) = await tenant.costs()
        assert cost["attempt_status"] == "unknown"
        assert cost["usd_cost"] == row["usd_cost"] > 0
        assert await tenant.events() == ["attempt_unknown", "invocation_abandoned"]
        assert (await keep_house(house)).invocations.closed == 0

    async def test_is_left_alone_while_it_is_young(self, house: House, tenant: Tenant) -> None:
        await make_unfinished(house, tenant, minutes_old=9, workflow_id="never-started")
        assert (await keep_house(house)).invocations.looked_at == 0

    async def test_is_left_alone_while_its_workflow_runs(
        self, house: House, tenant: Tenant, provider: ProviderDouble
    ) -> None:
        hanging = await house.parts.temporal.start_workflow(
            "Housekeeping", id=f"hanging-{uuid4()}", task_queue=f"nobody-{uuid4()}"
        )
        await make_unfinished(house, tenant, minutes_old=11, workflow_id=hanging.id)
        kept = (await keep_house(house)).invocations
        assert (kept.looked_at, kept.closed) == (1, 0)
        await hanging.terminate()
        assert (await keep_house(house)).invocations.closed == 1
        assert len(provider.calls) == 1


async def test_partitions_are_made_again(house: House) -> None:
    (newest,) = await house.rows(
        "SELECT max(inhrelid::regclass::text) AS name FROM pg_inherits WHERE inhparent = 'event_logs'::regclass"
        " AND inhrelid::regclass::text NOT LIKE '%default'"
    )
    await house.change(f"DROP TABLE {newest['name']}")
    assert newest["name"] in (await keep_house(house)).partitions_made
    assert (await keep_house(house)).partitions_made == []


async def test_the_schedule_is_made_once_and_then_left_to_operators(house: House) -> None:
    client, queue = house.parts.temporal, f"scheduled-{uuid4()}"
    await ensure_schedules(client, queue)
    schedule = client.get_schedule_handle(f"{queue}-housekeeping")
    await schedule.pause()
    await ensure_schedules(client, queue)
    description = await schedule.describe()
    assert description.schedule.state.paused
    await schedule.delete()


@pytest.mark.usefixtures("provider")
async def test_an_attempt_that_its_invocations_end_left_open_is_charged(house: House, tenant: Tenant) -> None:
    """The process died between the two."""
    await make_unfinished(house, tenant, minutes_old=9, workflow_id="crashed")
    for minutes, status in ((9, "started"), (11, "unknown")):
        await house.change(
            "UPDATE invocations SET status = 'failed', result = '{}',"
            " finished_at = now() - make_interval(mins => :minutes) WHERE organization_id = :organization_id",
            minutes=minutes,
            organization_id=tenant.organization_id,
        )
        await keep_house(house)
        (attempt,) = await tenant.rows("SELECT status FROM attempts WHERE organization_id = :organization_id")
        assert attempt["status"] == status
    (cost,) = await tenant.costs()
    (row,) = await tenant.invocations()
    assert cost["usd_cost"] == row["usd_cost"] > 0
