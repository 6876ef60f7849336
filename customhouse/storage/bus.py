"""The bus: short messages between processes over Postgres's LISTEN and NOTIFY.

A message reaches whoever listens at that moment, and nobody else: it says that something happened, and what happened
stands in a table. After a lost connection messages may be missing; subscribers are told so and look into their table.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import psycopg
from psycopg import AsyncConnection, sql

from customhouse.contracts.errors import NotReady, PayloadTooLarge
from customhouse.contracts.timing import (
    BUS_PROBE,
    BUS_RECONNECT,
    DATABASE_CONNECT_TIMEOUT,
    DATABASE_PATIENCE,
    STATEMENT_TIMEOUT,
)
from customhouse.storage.engine import connect_args, libpq_url

logger = logging.getLogger(__name__)

LARGEST_PAYLOAD = 7_500
"""Bytes. Postgres refuses 8,000 and more."""

OnMessage = Callable[[str], None]
OnGap = Callable[[], None]


@dataclass(eq=False, slots=True)
class Subscription:
    """One subscriber of one channel. End it with `Bus.unsubscribe`."""

    channel: str
    on_message: OnMessage
    on_gap: OnGap
    listening: asyncio.Event = field(default_factory=asyncio.Event)


class Bus:
    """Publishes and subscribes, on two connections of its own. Use as an async context manager.

    Callbacks run on the event loop and must not block; what one raises goes to the loop's exception handler.
    """

    def __init__(self, database_url: str) -> None:
        self._database_url = libpq_url(database_url)
        self._subscriptions: dict[str, list[Subscription]] = {}
        self._heard: set[str] = set()
        """Channels that the present connection listens to."""
        self._wake = asyncio.Event()
        self._listener: asyncio.Task[None] | None = None
        self._publisher: AsyncConnection | None = None
        self._publishing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._listener = asyncio.create_task(self._listen(), name="bus listener")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.wait([self._listener])
            if not self._listener.cancelled():
                self._listener.result()  # it ended by an error of its own, which must not go unseen
        if self._publisher is not None:
            await self._publisher.close()

    async def publish(self, channel: str, payload: str | bytes) -> None:
        """Send to all who listen now, in every process. Raises PayloadTooLarge, or NotReady while Postgres is away."""
        message = payload.decode() if isinstance(payload, bytes) else payload
        size = len(message.encode())
        if size > LARGEST_PAYLOAD:
            raise PayloadTooLarge(
                f"A message of {size} bytes was to go over the bus, which takes {LARGEST_PAYLOAD}. Split it, or send a "
                "reference to a row."
            )
        async with self._publishing:
            try:
                await self._notify(channel, message)
            except (psycopg.OperationalError, TimeoutError):
                # The connection may have been dead since a restart of Postgres long ago: once more, on a new one.
                try:
                    await self._notify(channel, message)
                except (psycopg.OperationalError, TimeoutError) as error:
                    raise NotReady(f"Postgres does not take messages for the bus: {error}") from error

    async def subscribe(self, channel: str, on_message: OnMessage, on_gap: OnGap) -> Subscription:
        """Call `on_message` for what is published from now on: when this returns, the channel is being listened to.

        `on_gap` is called whenever messages may have been missed, after listening has begun anew. `channel` is a fixed
        name of at most 63 bytes. Raises NotReady while Postgres is away.
        """
        subscription = Subscription(channel, on_message, on_gap)
        self._subscriptions.setdefault(channel, []).append(subscription)
        if channel in self._heard:
            subscription.listening.set()
            return subscription
        self._wake.set()
        try:
            async with asyncio.timeout(DATABASE_PATIENCE.total_seconds()):
                await subscription.listening.wait()
        except TimeoutError as error:
            self.unsubscribe(subscription)
            raise NotReady(
                f"The bus could not listen to {channel!r} within {DATABASE_PATIENCE.total_seconds():g} s: Postgres "
                "does not answer. Look whether it runs."
            ) from error
        except BaseException:
            self.unsubscribe(subscription)
            raise
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """No callback of it runs after this, and the channel is no longer listened to if it was the last one."""
        remaining = self._subscriptions.get(subscription.channel, [])
        if subscription in remaining:
            remaining.remove(subscription)
        if not remaining:
            self._subscriptions.pop(subscription.channel, None)
            self._wake.set()

    async def _notify(self, channel: str, message: str) -> None:
        if self._publisher is None or self._publisher.closed:
            self._publisher = await self._connect("customhouse-bus-publish")
            # A message is worth nothing after a crash, so none waits for the disk: NOTIFY alone would, at its commit.
            await self._publisher.execute("SET synchronous_commit = off")
        try:
            await self._publisher.execute("SELECT pg_notify(%s, %s)", (channel, message))
        except psycopg.OperationalError:
            await self._publisher.close()
            raise

    async def _listen(self) -> None:
        first, longest = (pause.total_seconds() for pause in BUS_RECONNECT)
        pause, lost = first, False
        while True:
            try:
                async with await self._connect("customhouse-bus-listen") as connection:
                    connection.add_notify_handler(self._deliver)
                    await self._update(connection)
                    if lost:
                        logger.info("The bus is connected again.")
                        self._announce_gap()
                    pause, lost = first, False
                    await self._receive(connection)
            except (psycopg.Error, TimeoutError) as error:
                self._heard.clear()
                if not lost:
                    logger.warning("The bus lost its connection to Postgres and tries to reconnect: %s", error)
                lost = True
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)

    async def _receive(self, connection: AsyncConnection) -> None:
        """Deliver until the connection breaks, which raises OperationalError."""
        loop = asyncio.get_running_loop()
        while True:
            await self._update(connection)
            while (notify := connection.pgconn.notifies()) is not None:
                self._deliver(psycopg.Notify(notify.relname.decode(), notify.extra.decode(), notify.be_pid))
            # psycopg has one reader of the socket while it runs a statement, so ours is there only in between.
            loop.add_reader(connection.fileno(), self._wake.set)
            try:
                async with asyncio.timeout(BUS_PROBE.total_seconds()):
                    await self._wake.wait()
                silent = False
            except TimeoutError:
                silent = True
            finally:
                loop.remove_reader(connection.fileno())
            self._wake.clear()
            if silent:
                async with asyncio.timeout(STATEMENT_TIMEOUT.total_seconds()):
                    await connection.execute("SELECT 1")
            connection.pgconn.consume_input()

    async def _update(self, connection: AsyncConnection) -> None:
        """Listen to what is subscribed now, and to nothing else."""
        wanted = set(self._subscriptions)
        for channel in wanted - self._heard:
            await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            self._heard.add(channel)
        for channel in self._heard - wanted:
            # First: who subscribes while UNLISTEN is under way must not take the channel for one that is heard.
            self._heard.discard(channel)
            await connection.execute(sql.SQL("UNLISTEN {}").format(sql.Identifier(channel)))
        for channel in self._heard:
            for subscription in self._subscriptions.get(channel, ()):
                subscription.listening.set()

    def _deliver(self, notify: psycopg.Notify) -> None:
        for subscription in self._subscriptions.get(notify.channel, ()):
            asyncio.get_running_loop().call_soon(self._hand_over, subscription, notify.payload)

    def _hand_over(self, subscription: Subscription, payload: str) -> None:
        if subscription in self._subscriptions.get(subscription.channel, ()):
            subscription.on_message(payload)

    def _announce_gap(self) -> None:
        for subscriptions in self._subscriptions.values():
            for subscription in subscriptions:
                asyncio.get_running_loop().call_soon(subscription.on_gap)

    async def _connect(self, application_name: str) -> AsyncConnection:
        async with asyncio.timeout(DATABASE_CONNECT_TIMEOUT.total_seconds()):
            return await AsyncConnection.connect(
                self._database_url,
                autocommit=True,
                **connect_args(application_name, statement_timeout=STATEMENT_TIMEOUT),
            )
