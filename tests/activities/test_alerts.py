"""The desk and the sender: real Postgres, real apprise, and a webhook that fails, hangs and goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.alerts import MOST_WAITING, AlertDesk, AlertSender, Pace
from customhouse.contracts.alerts import Alert, AlertKind
from customhouse.contracts.errors import NotReady
from customhouse.contracts.governance import Severity
from customhouse.integrations.alerts import Places
from customhouse.storage.alert_sending import AlertSending
from customhouse.storage.alerts import AlertFilter, AlertRecord, Alerts
from customhouse.storage.engine import create_engine
from customhouse.storage.ids import new_id
from customhouse.storage.organizations import Organizations
from customhouse.storage.pages import PageRequest
from tests.doubles.house import until
from tests.doubles.receiver import Receiver, running_receiver
from workers.alerting import sending
from workers.embedded.ports import free_port

MOMENT = timedelta(milliseconds=1)

QUICK = Pace(poll=timedelta(milliseconds=10), retry=(MOMENT, MOMENT))


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database_url, pool_size=4, application_name="customhouse-test")
    yield engine
    await engine.dispose()


@pytest.fixture
async def organization(engine: AsyncEngine) -> UUID:
    return (await Organizations(engine).ensure("acme", actor="test")).id


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as running:
        yield running


def alert(organization: UUID, **values: Any) -> Alert:
    given = {
        "organization_id": organization,
        "kind": AlertKind.ABUSE,
        "title": "Blocked as jailbreak: user:u",
        "text": "why",
        "dedup_key": "abuse:u:jailbreak",
        **values,
    }
    return Alert(**given)


@pytest.fixture
async def start(engine: AsyncEngine) -> AsyncIterator[Callable[..., AlertSender]]:
    """Starts senders, which end with the test."""
    async with AsyncExitStack() as stack:
        tasks: list[asyncio.Task[None]] = []

        def sender(*urls: str, minimum: Severity = Severity.MEDIUM, pace: Pace = QUICK) -> AlertSender:
            places = Places(",".join(urls), minimum)
            stack.callback(places.close)
            made = AlertSender(AlertSending(engine), places, pace)
            tasks.append(asyncio.create_task(made.run()))
            return made

        yield sender
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def records(engine: AsyncEngine, organization: UUID) -> list[AlertRecord]:
    return (await Alerts(engine).list_page(organization, AlertFilter(), PageRequest.of(200))).data


class TestSender:
    async def test_an_alert_is_sent_once_however_often_it_repeats(
        self, engine: AsyncEngine, organization: UUID, receiver: Receiver, start: Callable[..., AlertSender]
    ) -> None:
        start(receiver.url())
        start(receiver.url())  # another process
        alerts = Alerts(engine)
        alert_id = await alerts.record(alert(organization, subject="user:u"))
        await until(lambda: receiver.taken)
        for _ in range(5):
            await alerts.record(alert(organization))
        await alerts.record(alert(organization, dedup_key="another", title="Another"))
        await until(lambda: "[medium] Another" in receiver.titles)
        assert receiver.titles == ["[medium] Blocked as jailbreak: user:u", "[medium] Another"]
        body = receiver.taken[0]["message"]
        assert body.splitlines() == ["why", "", "organization: acme", "about: user:u", f"alert: {alert_id}"]
        record = await alerts.get(organization, alert_id)
        assert (record.count, record.notify_attempts, record.notify_error) == (6, 1, None)
        assert record.notified_at is not None

    async def test_a_place_that_fails_is_tried_again_and_the_others_are_not_told_twice(
        self, engine: AsyncEngine, organization: UUID, receiver: Receiver, start: Callable[..., AlertSender]
    ) -> None:
        async with running_receiver() as other:
            other.statuses = [500, 503]
            start(receiver.url(), other.url())
            alert_id = await Alerts(engine).record(alert(organization))
            await until(lambda: other.taken)
            assert (len(receiver.taken), other.refused, len(other.taken)) == (1, 2, 1)

        async def sent() -> bool:
            return (await Alerts(engine).get(organization, alert_id)).notified_at is not None

        await until(sent)
        record = await Alerts(engine).get(organization, alert_id)
        assert (record.notify_attempts, record.notify_error) == (3, None)

    async def test_it_outlives_a_place_that_is_away_and_a_restart(
        self, engine: AsyncEngine, organization: UUID, start: Callable[..., AlertSender]
    ) -> None:
        port = free_port()
        url = f"json://127.0.0.1:{port}/"
        alert_id = await Alerts(engine).record(alert(organization))
        places = Places(url, Severity.MEDIUM)
        first = asyncio.create_task(AlertSender(AlertSending(engine), places, QUICK).run())

        async def failed() -> bool:
            return (await Alerts(engine).get(organization, alert_id)).notify_error is not None

        await until(failed)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        places.close()
        await Alerts(engine).record(alert(organization))
        async with running_receiver(port) as receiver:
            # It may have been stopped amid a try: then its lease has to pass.
            async with engine.begin() as connection:
                await connection.execute(text("UPDATE alerts SET notify_after = now()"))
            start(url)
            await until(lambda: receiver.taken)
            (taken,) = receiver.taken
        assert "seen: 2 times" in taken["message"]

    async def test_it_goes_on_after_an_outage_of_postgres(
        self, organization: UUID, engine: AsyncEngine, receiver: Receiver
    ) -> None:
        class Away(AlertSending):
            outages = 3

            async def take(self, *, limit: int, lease: timedelta) -> Any:
                if self.outages:
                    self.outages -= 1
                    raise NotReady("Postgres does not answer.")
                return await super().take(limit=limit, lease=lease)

        await Alerts(engine).record(alert(organization))
        async with Places(receiver.url(), Severity.MEDIUM) as places:
            task = asyncio.create_task(AlertSender(Away(engine), places, QUICK).run())
            await until(lambda: receiver.taken)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def test_each_place_gets_what_is_severe_enough_for_it(
        self, engine: AsyncEngine, organization: UUID, receiver: Receiver, start: Callable[..., AlertSender]
    ) -> None:
        alerts = Alerts(engine)
        for severity in Severity:
            await alerts.record(alert(organization, severity=severity, dedup_key=severity.value, title="x"))
        start(receiver.url("all"), f"critical={receiver.url('few')}")
        await until(lambda: len(receiver.taken) == 4)

        async def settled() -> bool:
            rows = [each for each in await records(engine, organization) if each.notify_attempts]
            return len(rows) == len(Severity)

        await until(settled)
        assert sorted((each["path"], each["title"]) for each in receiver.taken) == [
            ("/all", "[critical] x"),
            ("/all", "[high] x"),
            ("/all", "[medium] x"),
            ("/few", "[critical] x"),
        ]
        unsent = {each.severity: each.notified_at for each in await records(engine, organization)}
        assert unsent[Severity.LOW] is None

    async def test_old_news_is_given_up(
        self, engine: AsyncEngine, organization: UUID, receiver: Receiver, start: Callable[..., AlertSender]
    ) -> None:
        alerts = Alerts(engine)
        old = await alerts.record(alert(organization))
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE alerts SET last_seen = last_seen - interval '25 hours'"))
        await alerts.record(alert(organization, dedup_key="new", title="new"))
        start(receiver.url())
        await until(lambda: receiver.taken)

        async def given_up() -> bool:
            return (await alerts.get(organization, old)).notify_error is not None

        await until(given_up)
        assert receiver.titles == ["[medium] new"]


async def test_a_process_sends_while_it_runs_and_no_longer(
    engine: AsyncEngine, organization: UUID, receiver: Receiver
) -> None:
    alerts = Alerts(engine)
    async with Places(receiver.url(), Severity.MEDIUM) as places:
        sender = AlertSender(AlertSending(engine), places, Pace(poll=timedelta(hours=1)))
        async with AlertDesk(alerts, pause=MOMENT, on_recorded=sender.wake) as desk, sending(sender):
            desk.post(alert(organization, title="first"))
            await until(lambda: receiver.titles == ["[medium] first"])
        before = asyncio.all_tasks()
        await alerts.record(alert(organization, dedup_key="second"))
        assert not [task for task in before if task.get_name() == "alert sender"]
    assert len(receiver.taken) == 1
    async with sending(None):
        pass


class Store:
    """Counts what is written down; may be away."""

    def __init__(self) -> None:
        self.recorded: dict[str, int] = {}
        self.statements = 0
        self.outages = 0
        self.open = asyncio.Event()
        self.open.set()

    async def record(self, alert: Alert, *, times: int = 1) -> UUID:
        await self.open.wait()
        if self.outages:
            self.outages -= 1
            raise NotReady("Postgres does not answer.")
        self.statements += 1
        self.recorded[alert.dedup_key] = self.recorded.get(alert.dedup_key, 0) + times
        return new_id()


class TestDesk:
    async def test_repeats_that_come_meanwhile_are_one_statement(self) -> None:
        store = Store()
        store.open.clear()
        async with AlertDesk(store, pause=MOMENT) as desk:
            desk.post(alert(UUID(int=1)))
            await asyncio.sleep(0)
            for _ in range(1000):
                desk.post(alert(UUID(int=1)))
            store.open.set()
            await until(lambda: store.recorded.get("abuse:u:jailbreak") == 1001)
        assert store.statements <= 2

    async def test_alerts_wait_through_an_outage(self) -> None:
        store = Store()
        store.outages = 3
        async with AlertDesk(store, pause=MOMENT) as desk:
            await desk.raise_alert(alert(UUID(int=1)))
            await until(lambda: store.recorded)
        assert store.recorded == {"abuse:u:jailbreak": 1}

    async def test_what_waits_is_written_down_when_the_process_stops(self) -> None:
        store = Store()
        async with AlertDesk(store, pause=timedelta(hours=1)) as desk:
            desk.post(alert(UUID(int=1), dedup_key="first"))
            await until(lambda: store.recorded)
            desk.post(alert(UUID(int=1), dedup_key="second"))
        assert store.recorded == {"first": 1, "second": 1}

    async def test_no_more_wait_than_memory_is_meant_for(self) -> None:
        store = Store()
        store.open.clear()
        async with AlertDesk(store, pause=MOMENT) as desk:
            for number in range(MOST_WAITING + 10):
                desk.post(alert(UUID(int=1), dedup_key=f"k:{number}"))
            desk.post(alert(UUID(int=1), dedup_key="k:0"))
            store.open.set()
            await until(lambda: len(store.recorded) == MOST_WAITING)
        assert len(store.recorded) == MOST_WAITING
        assert store.recorded["k:0"] == 2

    async def test_one_that_cannot_be_written_does_not_hold_up_the_others(
        self, engine: AsyncEngine, organization: UUID
    ) -> None:
        woken: list[bool] = []
        async with AlertDesk(Alerts(engine), pause=MOMENT, on_recorded=lambda: woken.append(True)) as desk:
            desk.post(alert(new_id()))  # of an organization that there is none of
            desk.post(alert(organization))
            await until(lambda: woken)
        (record,) = await records(engine, organization)
        assert record.count == 1
