from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from customhouse.contracts.alerts import Alert, AlertKind, AlertStatus
from customhouse.contracts.errors import Conflict, NotFound
from customhouse.contracts.governance import Severity
from customhouse.storage.alert_sending import AlertSending, DueAlert, Settlement
from customhouse.storage.alerts import AlertFilter, AlertRecord, Alerts
from customhouse.storage.ids import new_id
from customhouse.storage.models import AuditLog
from customhouse.storage.pages import PageRequest

LEASE = timedelta(minutes=5)


@pytest.fixture
def alerts(engine: AsyncEngine) -> Alerts:
    return Alerts(engine)


def alert(organization: UUID, **values: Any) -> Alert:
    given = {
        "organization_id": organization,
        "kind": AlertKind.ABUSE,
        "title": "Blocked as jailbreak: user:u",
        "dedup_key": "abuse:u:jailbreak",
        **values,
    }
    return Alert(**given)


async def all_of(alerts: Alerts, organization: UUID, **narrowed: Any) -> list[AlertRecord]:
    return (await alerts.list_page(organization, AlertFilter(**narrowed), PageRequest.of(200))).data


async def backdate(engine: AsyncEngine, alert_id: UUID, by: timedelta) -> None:
    async with engine.begin() as connection:
        await connection.execute(
            text("UPDATE alerts SET first_seen = first_seen - :by, last_seen = last_seen - :by WHERE id = :id"),
            {"by": by, "id": alert_id},
        )


class TestRaise:
    async def test_what_was_raised_can_be_read(self, alerts: Alerts, organization: UUID) -> None:
        invocation_id = new_id()
        raised = alert(
            organization,
            severity=Severity.HIGH,
            text="why",
            subject="user:u",
            details={"score": 0.97, "name": "a\0b"},
            invocation_id=invocation_id,
        )
        alert_id = await alerts.record(raised)
        record = await alerts.get(organization, alert_id)
        assert (record.kind, record.severity, record.title, record.text) == ("abuse", "high", raised.title, "why")
        assert (record.subject, record.invocation_id, record.count) == ("user:u", invocation_id, 1)
        assert record.details == {"score": 0.97, "name": "a\N{REPLACEMENT CHARACTER}b"}
        assert (record.status, record.notified_at, record.first_seen) == (AlertStatus.OPEN, None, record.last_seen)

    async def test_repeats_count_up_and_keep_the_latest(self, alerts: Alerts, organization: UUID) -> None:
        first = await alerts.record(alert(organization, details={"n": 1}, subject="user:u", invocation_id=new_id()))
        latest = new_id()
        again = await alerts.record(alert(organization, details={"n": 2}, invocation_id=latest), times=5)
        assert again == first
        (record,) = await all_of(alerts, organization)
        assert (record.count, record.details, record.invocation_id) == (6, {"n": 2}, latest)
        assert record.subject == "user:u"
        assert record.last_seen > record.first_seen

    async def test_many_at_once_are_one(self, alerts: Alerts, organization: UUID) -> None:
        await asyncio.gather(*(alerts.raise_alert(alert(organization)) for _ in range(20)))
        (record,) = await all_of(alerts, organization)
        assert record.count == 20

    async def test_another_key_or_organization_is_another_alert(
        self, alerts: Alerts, organization: UUID, stranger: UUID
    ) -> None:
        ids = [
            await alerts.record(each)
            for each in (alert(organization), alert(organization, dedup_key="abuse:v"), alert(stranger))
        ]
        assert len(set(ids)) == 3
        assert len(await all_of(alerts, organization)) == 2
        assert len(await all_of(alerts, stranger)) == 1

    async def test_after_the_window_it_is_a_new_one(
        self, engine: AsyncEngine, alerts: Alerts, organization: UUID
    ) -> None:
        first = await alerts.record(alert(organization))
        await backdate(engine, first, timedelta(seconds=3590))
        assert await alerts.record(alert(organization)) == first
        await backdate(engine, first, timedelta(seconds=20))
        second = await alerts.record(alert(organization))
        assert second != first
        assert await alerts.record(alert(organization)) == second

    async def test_a_window_may_be_longer(self, engine: AsyncEngine, alerts: Alerts, organization: UUID) -> None:
        first = await alerts.record(alert(organization, dedup_window_s=86_400))
        await backdate(engine, first, timedelta(hours=23))
        assert await alerts.record(alert(organization, dedup_window_s=86_400)) == first

    async def test_after_it_is_closed_it_is_a_new_one(self, alerts: Alerts, organization: UUID) -> None:
        first = await alerts.record(alert(organization))
        await alerts.acknowledge(organization, first, actor="ann")
        assert await alerts.record(alert(organization)) == first
        await alerts.close(organization, first, actor="ann")
        assert await alerts.record(alert(organization)) != first


class TestList:
    async def test_it_is_narrowed(self, alerts: Alerts, organization: UUID) -> None:
        abuse = await alerts.record(alert(organization, subject="user:u", severity=Severity.HIGH))
        budget = await alerts.record(alert(organization, kind=AlertKind.BUDGET, dedup_key="budget:b"))
        await alerts.close(organization, budget, actor="ann")
        for narrowed, found in (
            ({"kind": "abuse"}, [abuse]),
            ({"severity": "medium"}, [budget]),
            ({"status": "closed"}, [budget]),
            ({"subject": "user:u"}, [abuse]),
            ({"subject": "user:v"}, []),
            ({}, [budget, abuse]),
        ):
            assert [each.id for each in await all_of(alerts, organization, **narrowed)] == found

    async def test_pages_follow_each_other(self, alerts: Alerts, organization: UUID) -> None:
        made = [await alerts.record(alert(organization, dedup_key=f"k:{n}")) for n in range(5)]
        seen, cursor = [], None
        while True:
            page = await alerts.list_page(organization, AlertFilter(), PageRequest.of(2, cursor))
            seen += [each.id for each in page.data]
            if (cursor := page.next) is None:
                break
        assert seen == made[::-1]


class TestActs:
    async def audited(self, engine: AsyncEngine, organization: UUID) -> list[tuple[str, str, str, str | None]]:
        async with engine.connect() as connection:
            rows = await connection.execute(
                select(AuditLog.actor, AuditLog.action, AuditLog.target, AuditLog.details)
                .where(AuditLog.organization_id == organization, AuditLog.action.startswith("alert."))
                .order_by(AuditLog.sequence)
            )
            return [(row.actor, row.action, row.target, row.details["note"]) for row in rows]

    async def test_each_is_done_and_audited_once(self, engine: AsyncEngine, alerts: Alerts, organization: UUID) -> None:
        alert_id = await alerts.record(alert(organization))
        first = await alerts.acknowledge(organization, alert_id, actor="ann", note="mine")
        assert (first.status, first.acknowledged_by) == (AlertStatus.ACKNOWLEDGED, "ann")
        assert await alerts.acknowledge(organization, alert_id, actor="bob") == first
        closed = await alerts.close(organization, alert_id, actor="bob")
        assert (closed.status, closed.closed_by, closed.acknowledged_by) == (AlertStatus.CLOSED, "bob", "ann")
        assert await alerts.close(organization, alert_id, actor="eve") == closed
        assert await self.audited(engine, organization) == [
            ("ann", "alert.acknowledged", str(alert_id), "mine"),
            ("bob", "alert.closed", str(alert_id), None),
        ]

    async def test_a_closed_one_cannot_be_acknowledged(self, alerts: Alerts, organization: UUID) -> None:
        alert_id = await alerts.record(alert(organization))
        await alerts.close(organization, alert_id, actor="ann")
        with pytest.raises(Conflict):
            await alerts.acknowledge(organization, alert_id, actor="ann")

    async def test_a_stranger_s_is_not_found_and_stays(
        self, alerts: Alerts, organization: UUID, stranger: UUID
    ) -> None:
        alert_id = await alerts.record(alert(organization))
        with pytest.raises(NotFound):
            await alerts.get(stranger, alert_id)
        for act in (alerts.acknowledge, alerts.close):
            with pytest.raises(NotFound):
                await act(stranger, alert_id, actor="mallory")
        assert (await alerts.get(organization, alert_id)).status is AlertStatus.OPEN


class TestSending:
    """In a database of its own, since a sender takes those of all organizations."""

    @pytest.fixture
    async def alerts(self, fresh_engine: AsyncEngine) -> Alerts:
        return Alerts(fresh_engine)

    @pytest.fixture
    async def organization(self, fresh_engine: AsyncEngine) -> UUID:
        from customhouse.storage.organizations import Organizations

        return (await Organizations(fresh_engine).ensure("acme", actor="test")).id

    @pytest.fixture
    def sending(self, fresh_engine: AsyncEngine) -> AlertSending:
        return AlertSending(fresh_engine)

    async def take(self, sending: AlertSending, lease: timedelta = LEASE) -> list[DueAlert]:
        return await sending.take(limit=10, lease=lease)

    async def test_each_is_taken_once(self, alerts: Alerts, sending: AlertSending, organization: UUID) -> None:
        ids = [await alerts.record(alert(organization, dedup_key=f"k:{n}")) for n in range(6)]
        taken = await asyncio.gather(*(sending.take(limit=3, lease=LEASE) for _ in range(4)))
        assert sorted(each.id for some in taken for each in some) == sorted(ids)
        assert {each.organization for some in taken for each in some} == {"acme"}
        assert await self.take(sending) == []

    async def test_one_that_nobody_settles_is_due_again(
        self, alerts: Alerts, sending: AlertSending, organization: UUID
    ) -> None:
        await alerts.record(alert(organization))
        (first,) = await self.take(sending, lease=timedelta(0))
        (second,) = await self.take(sending)
        assert (first.id, first.attempts, second.id, second.attempts) == (second.id, 1, first.id, 2)

    async def test_a_repeat_of_one_that_was_sent_is_not_due(
        self, alerts: Alerts, sending: AlertSending, organization: UUID
    ) -> None:
        alert_id = await alerts.record(alert(organization))
        (due,) = await self.take(sending)
        await sending.settle(due, Settlement(("place",)))
        assert (await alerts.get(organization, alert_id)).notified_at is not None
        await alerts.record(alert(organization))
        assert await self.take(sending) == []

    async def test_one_that_failed_is_due_later_and_remembers_where_it_was(
        self, alerts: Alerts, sending: AlertSending, organization: UUID
    ) -> None:
        alert_id = await alerts.record(alert(organization))
        (due,) = await self.take(sending)
        await sending.settle(due, Settlement(("a",), error="b is away", retry_in=timedelta(hours=1)))
        assert await self.take(sending) == []
        record = await alerts.get(organization, alert_id)
        assert (record.notified_at, record.notify_error) == (None, "b is away")
        (due,) = await self._at_once(alerts, sending, organization, alert_id)
        assert due.delivered_to == ("a",)

    async def test_a_severer_repeat_is_sent_anew_also_amid_a_try(
        self, alerts: Alerts, sending: AlertSending, organization: UUID
    ) -> None:
        alert_id = await alerts.record(alert(organization))
        (due,) = await self.take(sending)
        await alerts.record(alert(organization, severity=Severity.CRITICAL))
        await sending.settle(due, Settlement(("place",)))
        (again,) = await self.take(sending)
        assert (again.id, again.severity, again.delivered_to) == (alert_id, Severity.CRITICAL, ())
        await sending.settle(due, Settlement(("place",)))  # the first try's end comes late
        assert (await alerts.get(organization, alert_id)).notified_at is None
        await sending.settle(again, Settlement(("place",)))
        assert (await alerts.get(organization, alert_id)).notified_at is not None
        await alerts.record(alert(organization, severity=Severity.LOW))
        assert await self.take(sending) == []
        assert (await alerts.get(organization, alert_id)).severity is Severity.CRITICAL

    async def test_a_closed_one_is_not_due(self, alerts: Alerts, sending: AlertSending, organization: UUID) -> None:
        await alerts.close(organization, await alerts.record(alert(organization)), actor="ann")
        assert await self.take(sending) == []

    async def _at_once(
        self, alerts: Alerts, sending: AlertSending, organization: UUID, alert_id: UUID
    ) -> list[DueAlert]:
        """As if its pause had passed."""
        async with alerts._engine.begin() as connection:
            await connection.execute(
                text("UPDATE alerts SET notify_after = now() WHERE id = :id AND organization_id = :organization_id"),
                {"id": alert_id, "organization_id": organization},
            )
        return await self.take(sending)
