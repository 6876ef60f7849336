"""Each threshold of each period is told of once, and none is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.budget_watch import BudgetWatch
from customhouse.contracts.alerts import Alert
from customhouse.contracts.errors import NotReady
from customhouse.storage.budget_alerts import BudgetThresholds
from customhouse.storage.bus import Bus
from customhouse.storage.ledger import Ledger
from customhouse.storage.statements import Statements
from tests.doubles.house import until
from tests.storage.budget_cases import a_budget, a_call, begun, worst
from tests.storage.ledger_cases import an_outcome


@dataclass
class Sink:
    """Keeps what is raised; `breaks`: raises instead, as while Postgres is away."""

    breaks: bool = False
    alerts: list[Alert] = field(default_factory=list)

    async def raise_alert(self, alert: Alert) -> None:
        if self.breaks:
            raise NotReady("Postgres is away.")
        self.alerts.append(alert)

    def of(self, organization_id: UUID) -> list[int]:
        """The thresholds that this organization was told of."""
        return [a.details["threshold_percent"] for a in self.alerts if a.organization_id == organization_id]


@pytest.fixture
async def ledger(storage_url: str) -> AsyncIterator[Ledger]:
    async with Statements(storage_url, size=4, application_name="customhouse-test") as statements:
        yield Ledger(statements)


async def spend(ledger: Ledger, organization: UUID, usd: str) -> bool:
    invocation = a_call(organization)
    if not (await begun(ledger, invocation, worst(usd))).opened:
        return False
    await ledger.settle(invocation, an_outcome(1, usd_cost=Decimal(usd)))
    return True


async def test_once_a_threshold(engine: AsyncEngine, ledger: Ledger, organization: UUID) -> None:
    await a_budget(engine, organization, 10, soft_percent=[50, 80])
    sink = Sink()
    thresholds = BudgetThresholds(engine, sink)
    told: list[list[int]] = []
    for usd in ("4", "1", "1", "4"):
        assert await spend(ledger, organization, usd)
        await thresholds.tell()
        told.append(sink.of(organization))
    assert told == [[], [50], [50], [50, 80, 100]]
    assert not await spend(ledger, organization, "1")
    assert not await spend(ledger, organization, "1")
    for _ in range(2):
        await BudgetThresholds(engine, sink).tell()  # another process
    assert sink.of(organization) == [50, 80, 100, 0]


async def test_what_could_not_be_told_is_told_later(engine: AsyncEngine, ledger: Ledger, organization: UUID) -> None:
    await a_budget(engine, organization, 10, soft_percent=[50])
    assert await spend(ledger, organization, "6")
    with pytest.raises(NotReady):
        await BudgetThresholds(engine, Sink(breaks=True)).tell()
    sink = Sink()
    await BudgetThresholds(engine, sink).tell()
    assert sink.of(organization) == [50]


async def test_the_watch_hears_of_it(engine: AsyncEngine, ledger: Ledger, organization: UUID, storage_url: str) -> None:
    await a_budget(engine, organization, 10, soft_percent=[50])
    sink = Sink()
    async with (
        Bus(storage_url) as bus,
        BudgetWatch(bus, BudgetThresholds(engine, sink), timedelta(hours=1)),
        BudgetWatch(bus, BudgetThresholds(engine, sink), timedelta(hours=1)),
    ):
        assert await spend(ledger, organization, "6")
        await until(lambda: sink.of(organization) == [50])
        await asyncio.gather(*(spend(ledger, organization, "1") for _ in range(4)))
        await until(lambda: sink.of(organization) == [50, 100])
