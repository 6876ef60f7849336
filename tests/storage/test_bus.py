from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from customhouse.contracts.errors import NotReady, PayloadTooLarge
from customhouse.storage import bus as bus_module
from customhouse.storage.bus import LARGEST_PAYLOAD, Bus
from customhouse.storage.engine import libpq_url
from tests.stack import running_postgres

DEADLINE_S = 20.0


async def until(condition: Callable[[], bool]) -> None:
    """Messages come from outside this loop, so there is no event to wait for."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


class Heard:
    """A subscriber that keeps what it hears."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.gaps = 0

    def on_gap(self) -> None:
        self.gaps += 1


@pytest.fixture
async def bus(storage_url: str) -> AsyncIterator[Bus]:
    async with Bus(storage_url) as bus:
        yield bus


@pytest.fixture
def channel() -> str:
    return f"test_{uuid4().hex}"


async def subscribe(bus: Bus, channel: str) -> Heard:
    heard = Heard()
    await bus.subscribe(channel, heard.messages.append, heard.on_gap)
    return heard


async def kill_connections(database_url: str, application_name: str) -> None:
    async with await psycopg.AsyncConnection.connect(libpq_url(database_url), autocommit=True) as admin:
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = %s AND datname = current_database()",
            [application_name],
        )


async def test_messages_come_in_order_to_every_process(storage_url: str, bus: Bus, channel: str) -> None:
    here = await subscribe(bus, channel)
    async with Bus(storage_url) as other:
        there = await subscribe(other, channel)
        wanted = [f"{n} naïve \N{SNOWMAN}" for n in range(300)]
        for message in wanted:
            await bus.publish(channel, message)
        await until(lambda: len(here.messages) == len(there.messages) == 300)
    assert here.messages == there.messages == wanted


async def test_only_the_channel_s_own_messages_come(bus: Bus, channel: str) -> None:
    heard, other = await subscribe(bus, channel), await subscribe(bus, channel + "_2")
    await bus.publish(channel, b"for one")
    await bus.publish(channel + "_2", "for two")
    await until(lambda: bool(heard.messages and other.messages))
    assert (heard.messages, other.messages) == (["for one"], ["for two"])


async def test_many_subscribe_and_publish_at_once(bus: Bus, channel: str) -> None:
    async def exchange(number: int) -> None:
        heard = await subscribe(bus, f"{channel}_{number}")
        await bus.publish(f"{channel}_{number}", str(number))
        await until(lambda: heard.messages == [str(number)])

    await asyncio.gather(*(exchange(number) for number in range(25)))


async def test_what_is_published_as_soon_as_one_has_subscribed_arrives(bus: Bus, channel: str) -> None:
    for number in range(20):
        heard = await subscribe(bus, f"{channel}_{number}")
        await bus.publish(f"{channel}_{number}", "first")
        await until(lambda heard=heard: heard.messages == ["first"])  # type: ignore[misc]


async def test_an_ended_subscription_hears_no_more_and_leaves_the_others(bus: Bus, channel: str) -> None:
    ended, going_on = Heard(), await subscribe(bus, channel)
    subscription = await bus.subscribe(channel, ended.messages.append, ended.on_gap)
    bus.unsubscribe(subscription)
    bus.unsubscribe(subscription)
    await bus.publish(channel, "x")
    await until(lambda: going_on.messages == ["x"])
    assert ended.messages == []


async def test_a_channel_that_all_have_left_can_be_joined_again(bus: Bus, channel: str) -> None:
    heard = Heard()
    bus.unsubscribe(await bus.subscribe(channel, heard.messages.append, heard.on_gap))
    again = await subscribe(bus, channel)
    await bus.publish(channel, "x")
    await until(lambda: again.messages == ["x"])
    assert heard.messages == []


async def test_joining_while_the_channel_is_being_left_is_joining(bus: Bus, channel: str) -> None:
    for steps in range(40):  # steps of the loop between the one and the other: some of them fall amid UNLISTEN
        former = Heard()
        bus.unsubscribe(await bus.subscribe(channel, former.messages.append, former.on_gap))
        for _ in range(steps):
            await asyncio.sleep(0)
        heard = Heard()
        subscription = await bus.subscribe(channel, heard.messages.append, heard.on_gap)
        await bus.publish(channel, "x")
        await until(lambda heard=heard: heard.messages == ["x"])  # type: ignore[misc]
        bus.unsubscribe(subscription)


async def test_the_largest_payload_passes_and_a_larger_one_is_refused(bus: Bus, channel: str) -> None:
    heard = await subscribe(bus, channel)
    largest = "é" * (LARGEST_PAYLOAD // 2)
    await bus.publish(channel, largest)
    await until(lambda: heard.messages == [largest])
    with pytest.raises(PayloadTooLarge, match=str(LARGEST_PAYLOAD)):
        await bus.publish(channel, largest + "x")


async def test_a_callback_that_fails_harms_nobody_and_is_reported(bus: Bus, channel: str) -> None:
    reported: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(context))
    try:
        await bus.subscribe(channel, lambda _: [][0], lambda: None)
        heard = await subscribe(bus, channel)
        await bus.publish(channel, "x")
        await until(lambda: heard.messages == ["x"])
    finally:
        loop.set_exception_handler(None)
    assert [type(context["exception"]) for context in reported] == [IndexError]


async def test_a_lost_listener_comes_back_and_says_that_messages_may_be_missing(
    bus: Bus, channel: str, storage_url: str
) -> None:
    heard = await subscribe(bus, channel)
    await kill_connections(storage_url, "customhouse-bus-listen")
    await until(lambda: heard.gaps == 1)
    await bus.publish(channel, "after")
    await until(lambda: heard.messages == ["after"])
    assert heard.gaps == 1


async def test_a_lost_publisher_is_replaced_unnoticed(bus: Bus, channel: str, storage_url: str) -> None:
    heard = await subscribe(bus, channel)
    await bus.publish(channel, "before")
    await kill_connections(storage_url, "customhouse-bus-publish")
    await bus.publish(channel, "after")
    await until(lambda: heard.messages == ["before", "after"])


async def test_it_survives_a_restart_of_postgres(channel: str) -> None:
    async with running_postgres() as postgres, Bus(postgres.url("postgres")) as bus:
        heard = await subscribe(bus, channel)
        await bus.publish(channel, "before")
        await until(lambda: heard.messages == ["before"])
        await postgres.stop()
        with pytest.raises(NotReady):
            await bus.publish(channel, "to nobody")
        await postgres.start()
        await until(lambda: heard.gaps == 1)
        await bus.publish(channel, "after")
        await until(lambda: heard.messages == ["before", "after"])


async def test_a_bus_can_start_before_its_postgres_and_says_so_to_subscribers(
    tmp_path: object, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_module, "DATABASE_PATIENCE", timedelta(milliseconds=50))
    async with Bus(f"postgresql://ann@/none?host={tmp_path}") as bus:
        with pytest.raises(NotReady, match="could not listen"):
            await subscribe(bus, channel)
