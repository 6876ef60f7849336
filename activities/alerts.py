"""Alerts in a process: the desk that calls leave them at, and the sender that takes them to the configured places."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Protocol, Self
from uuid import UUID

from psycopg import Error as PsycopgError
from sqlalchemy.exc import DBAPIError

from customhouse.contracts.alerts import Alert
from customhouse.contracts.errors import NotReady
from customhouse.contracts.timing import (
    ALERT_DESK_DRAIN,
    ALERT_DESK_PAUSE,
    ALERT_GIVE_UP,
    ALERT_LEASE,
    ALERT_POLL,
    ALERT_RETRY,
)
from customhouse.governance.alerts.sending import Notice, Place, notice_of, pause_after, wanting
from customhouse.storage.alert_sending import AlertSending, DueAlert, Settlement

log = logging.getLogger(__name__)

MOST_WAITING = 1_000
"""Alerts with different keys that wait to be written down while Postgres is away. Later ones are dropped, and logged:
what they were about has rows of its own."""

_BATCH = 5
"""Alerts that a sender takes at once: all of them to places that hang take less than the lease."""

_DATABASE = (DBAPIError, PsycopgError)


class AlertStore(Protocol):
    """`customhouse.storage.alerts.Alerts`."""

    async def record(self, alert: Alert, *, times: int = 1) -> UUID: ...


class AlertDesk:
    """Takes alerts without delay, and writes them down in the background. Use as an async context manager.

    Repeats that come within a second are one statement, so a flood of blocked calls costs Postgres next to nothing.
    Alerts wait through an outage of Postgres in memory; a process that is killed loses those of its last second.
    """

    def __init__(
        self,
        store: AlertStore,
        *,
        pause: timedelta = ALERT_DESK_PAUSE,
        on_recorded: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_recorded`: called when some were written down, to wake a sender in the same process."""
        self._store = store
        self._pause_s = pause.total_seconds()
        self._on_recorded = on_recorded
        self._waiting: dict[tuple[UUID, str], tuple[Alert, int]] = {}
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="alert desk")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Writes down what waits, for a few seconds at most."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        try:
            async with asyncio.timeout(ALERT_DESK_DRAIN.total_seconds()):
                await self._write_down()
        except TimeoutError:
            log.warning("Postgres does not take the last alerts in time")
        if self._waiting:
            log.error("alerts are lost: Postgres is away", extra={"alerts": len(self._waiting)})

    async def raise_alert(self, alert: Alert) -> None:
        """As `post`: for whoever was given an `AlertSink`."""
        self.post(alert)

    def post(self, alert: Alert) -> None:
        """Never waits and never raises."""
        key = (alert.organization_id, alert.dedup_key)
        _, times = self._waiting.get(key, (alert, 0))
        if times == 0 and len(self._waiting) >= MOST_WAITING:
            log.error("an alert is dropped: too many wait to be written down", extra={"alert": alert.title})
            return
        self._waiting[key] = (alert, times + 1)
        self._arrived.set()

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            await self._write_down()
            await asyncio.sleep(self._pause_s)

    async def _write_down(self) -> None:
        for key in list(self._waiting):
            alert, times = self._waiting[key]
            try:
                await self._store.record(alert, times=times)
            except NotReady as error:
                log.warning("alerts wait for Postgres", extra={"alerts": len(self._waiting), "error": error.message})
                self._arrived.set()
                return
            except _DATABASE:
                # Wrong now, wrong for ever: an organization that was erased, say. The others go on.
                log.exception("an alert could not be written down", extra={"alert": alert.title})
            self._settle(key, times)
        self._on_recorded()

    def _settle(self, key: tuple[UUID, str], times: int) -> None:
        """Repeats that came meanwhile wait for the next round."""
        alert, now = self._waiting.pop(key)
        if now > times:
            self._waiting[key] = (alert, now - times)
            self._arrived.set()


class Messenger(Protocol):
    """`customhouse.integrations.alerts.Places`."""

    @property
    def all(self) -> Sequence[Place]: ...

    async def send(self, place: Place, notice: Notice) -> str | None:
        """None once it is taken, else what is wrong."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the sender looks and tries."""

    poll: timedelta = ALERT_POLL
    retry: tuple[timedelta, timedelta] = ALERT_RETRY
    """First and longest pause."""
    give_up: timedelta = ALERT_GIVE_UP
    lease: timedelta = ALERT_LEASE


class AlertSender:
    """Sends due alerts, in every process of workers; each alert is taken by one of them.

    At least once for each place and window: a process that dies between sending and noting it sends again.
    """

    def __init__(self, sending: AlertSending, messenger: Messenger, pace: Pace | None = None) -> None:
        self._sending = sending
        self._messenger = messenger
        self._pace = pace or Pace()
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Something may be due: look now."""
        self._wake.set()

    async def run(self) -> None:
        """Until it is cancelled. Outages of Postgres and of places are logged, and waited out."""
        while True:
            self._wake.clear()
            try:
                more = await self.send_due() == _BATCH
            except (NotReady, *_DATABASE) as error:
                log.warning("alerts cannot be sent: Postgres does not answer", extra={"error": type(error).__name__})
                more = False
            except Exception:
                log.exception("alerts cannot be sent for a fault of ours; tried again after a pause")
                more = False
            if not more:
                await self._woken_or_polling()

    async def send_due(self) -> int:
        """One round; how many alerts it was about."""
        taken = await self._sending.take(limit=_BATCH, lease=self._pace.lease)
        for alert in taken:
            await self._sending.settle(alert, await self._try(alert))
        return len(taken)

    async def _try(self, alert: DueAlert) -> Settlement:
        places = wanting(self._messenger.all, alert.severity, alert.delivered_to)
        if not places:
            return Settlement(alert.delivered_to)
        if alert.age > self._pace.give_up:
            return Settlement(alert.delivered_to, error=f"not sent within {self._pace.give_up}, and given up")
        notice = notice_of(alert)
        answers = await asyncio.gather(*(self._messenger.send(place, notice) for place in places))
        reached = [place.fingerprint for place, wrong in zip(places, answers, strict=True) if wrong is None]
        complaints = [wrong for wrong in answers if wrong is not None]
        delivered_to = (*alert.delivered_to, *reached)
        if not complaints:
            log.info("alert sent", extra={"alert_id": str(alert.id), "places": len(reached)})
            return Settlement(delivered_to)
        error = "; ".join(complaints)
        retry_in = pause_after(alert.attempts, *self._pace.retry)
        log.warning(
            "an alert could not be sent everywhere",
            extra={"alert_id": str(alert.id), "error": error, "retry_in_s": retry_in.total_seconds()},
        )
        return Settlement(delivered_to, error=error, retry_in=retry_in)

    async def _woken_or_polling(self) -> None:
        try:
            async with asyncio.timeout(self._pace.poll.total_seconds()):
                await self._wake.wait()
        except TimeoutError:
            return
