"""The hourly look at the abuse model's scores: by Temporal, out of real traces."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import orjson
import pytest
from sqlalchemy import insert
from temporalio.worker import Worker

from activities.drift import DriftActivity, Reference
from customhouse.contracts.housekeeping import DriftResult
from customhouse.governance.alerts.drift import BINS
from customhouse.storage.alerts import AlertFilter, AlertRecord
from customhouse.storage.ids import new_id
from customhouse.storage.models import TraceSpan
from customhouse.storage.pages import PageRequest
from customhouse.storage.scores import AbuseScores
from tests.doubles.house import House, Tenant
from workers.schedules import ensure_schedules
from workflows.drift_watch import DriftWatch

SHARES = [0.9, 0.05, *[0.05 / 18] * 18]


async def score(house: House, tenant: Tenant, *probabilities: Any, name: str = "check.abuse", days: float = 0) -> None:
    rows = [
        {
            "organization_id": tenant.organization_id,
            "invocation_id": new_id(),
            "name": name,
            "started_at": house_time(),
            "created_at": house_time() - timedelta(days=days),
            "duration_ms": 1.0,
            "attributes": {"findings": 0, "probability": probability},
        }
        for probability in probabilities
    ]
    async with house.parts.engine.begin() as connection:
        await connection.execute(insert(TraceSpan), rows)


def house_time() -> Any:
    from customhouse.storage.clock import utc_now

    return utc_now()


async def watch(house: House, reference: Reference | None) -> DriftResult:
    queue = f"drift-{uuid4()}"
    activity: DriftActivity = replace(house.parts.drift, reference=reference)
    async with Worker(
        house.parts.temporal, task_queue=queue, workflows=[DriftWatch], activities=[activity.watch_drift]
    ):
        return await house.parts.temporal.execute_workflow(
            DriftWatch.run, id=f"drift-{uuid4()}", task_queue=queue, execution_timeout=timedelta(seconds=60)
        )


async def alerts(house: House, tenant: Tenant) -> list[AlertRecord]:
    return (await house.parts.alerts.list_page(tenant.organization_id, AlertFilter(), PageRequest.of(200))).data


async def test_only_drifted_organizations_are_told_and_once(house: House, tenant: Tenant) -> None:
    steady, young = await house.tenant(), await house.tenant()
    await score(house, tenant, *[0.02] * 300, *[0.97] * 300)
    await score(house, steady, *[0.02] * 540, *[0.07] * 30, *[0.5] * 30)
    await score(house, young, *[0.97] * 499)
    reference = Reference(SHARES, "7")
    first = await watch(house, reference)
    assert first.compared >= 3
    assert (await watch(house, reference)).alerts == first.alerts
    (alert,) = await alerts(house, tenant)
    assert (alert.kind, alert.subject, alert.count) == ("drift", "model:abuse@7", 2)
    assert alert.details["counts"] == [300, *[0] * 18, 300]
    assert await alerts(house, steady) == []
    assert await alerts(house, young) == []


async def test_scores_are_counted_where_they_belong(house: House, tenant: Tenant) -> None:
    await score(house, tenant, 0.0, 0.049, 0.05, 0.5, 0.9999, 1.0, -0.1, 1.1, None, "0.5", [])
    await score(house, tenant, 0.5, name="check.pii")
    await score(house, tenant, 0.5, days=1.01)
    await score(house, await house.tenant(), 0.5)
    counts = await AbuseScores(house.parts.engine).histogram(tenant.organization_id, timedelta(days=1))
    expected = [0] * BINS
    expected[0], expected[1], expected[10], expected[19] = 3, 1, 1, 3
    assert counts == expected


async def test_without_a_reference_nothing_is_compared(house: House, tenant: Tenant) -> None:
    await score(house, tenant, *[0.97] * 600)
    assert await watch(house, None) == DriftResult(compared=0, alerts=0)
    assert await alerts(house, tenant) == []


@pytest.mark.usefixtures("tenant")
async def test_every_worker_makes_sure_of_its_schedule(house: House) -> None:
    queue = f"drift-{uuid4()}"
    await ensure_schedules(house.parts.temporal, queue)
    await ensure_schedules(house.parts.temporal, queue)
    handle = house.parts.temporal.get_schedule_handle(f"{queue}-drift-watch")
    action: Any = (await handle.describe()).schedule.action
    assert (action.workflow, action.task_queue) == ("DriftWatch", queue)
    for name in ("drift-watch", "housekeeping"):
        await house.parts.temporal.get_schedule_handle(f"{queue}-{name}").delete()


def test_the_shipped_manifest_can_be_read() -> None:
    from workers.alerting import drift_reference

    reference = drift_reference()
    assert reference is None or (len(reference.shares) == BINS and orjson.dumps(list(reference.shares)))
