"""What callers did of late, in every process alike: their score, and blocks after repeated abuse."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson

from activities.block_book import BlockBook
from customhouse.contracts.alerts import Alert, AlertKind, AlertSink
from customhouse.contracts.errors import CustomhouseError
from customhouse.contracts.governance import Severity, Verdict
from customhouse.contracts.invocation import Caller
from customhouse.contracts.rate_limits import BlockKind
from customhouse.governance.limits import behaviour
from customhouse.governance.limits.behaviour import NEAR, WINDOW_S, AutoBlock, Record
from customhouse.governance.limits.networks import parse_address, subscriber
from customhouse.storage.blocks import Blocks, NewBlock
from customhouse.storage.bus import Bus

log = logging.getLogger(__name__)

CHANNEL = "customhouse_behaviour"
"""On the bus: offences and near misses that a process saw. All that a caller does well stays where it was done."""

ACTOR = "customhouse"
"""As the audit log names who blocks automatically."""

MOST_RECORDS = 20_000
"""Some 30 MB. Past it, those who did not call for longest are forgotten."""

MOST_UNSENT = 200
"""Offences that wait for the bus. In a flood of more the oldest are not told; they are many enough."""


@dataclass(frozen=True, slots=True)
class Noted:
    """What is told to the other processes."""

    organization_id: UUID
    user_id: str | None
    key_id: UUID | None
    address: str | None
    """As it is counted."""
    offended: bool
    digest: str | None = None
    """Of a prompt that came near the threshold."""


class BehaviourBook:
    """Used on one event loop. `score` and `note` never wait; use `shared` as a context manager."""

    def __init__(
        self,
        *,
        rule: AutoBlock,
        blocks: Blocks,
        book: BlockBook,
        alerts: AlertSink | None,
        process_id: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rule = rule
        self._blocks = blocks
        self._book = book
        self._alerts = alerts
        self._process_id = process_id
        self._clock = clock
        self._records: OrderedDict[tuple[Any, ...], Record] = OrderedDict()
        self._unsent: deque[Noted] = deque(maxlen=MOST_UNSENT)
        self._wake = asyncio.Event()
        self._aside: set[asyncio.Task[None]] = set()

    def score(self, caller: Caller, ip: str | None = None) -> float:
        """From 0 (nothing against the caller, or nothing known) to 1: the worst of user, key and address."""
        now = self._clock()
        worst = 0.0
        for key in _keys(caller.organization_id, caller.user_id, caller.key_id, _counted(ip or caller.ip)):
            record = self._records.get(key)
            if record is not None:
                worst = max(worst, behaviour.score(record, now, shared=key[1] != "user"))
        return worst

    def note(
        self, caller: Caller, ip: str | None, verdict: Verdict, probability: float | None, digest: str | None = None
    ) -> None:
        """Remember what became of a prompt. `verdict`: of the checks for abuse, not of others. `probability`: that it
        is abuse, by those checks; None where they gave none. `digest`: tells different prompts apart; without one each
        counts as different.
        """
        offended = verdict is Verdict.BLOCK
        near = not offended and probability is not None and probability >= NEAR
        if near and digest is None:
            digest = str(self._clock())
        noted = Noted(
            caller.organization_id,
            caller.user_id,
            caller.key_id,
            _counted(ip or caller.ip),
            offended,
            digest if near else None,
        )
        pair = self._remember(noted, called=True)
        if offended or near:
            self._unsent.append(noted)
            self._wake.set()
        if offended and pair is not None and behaviour.is_to_block(pair, self._clock(), self._rule):
            pair.offences.clear()  # once for so many
            if not self._book.is_allowed(caller):
                self._keep(self._block(noted, ip or caller.ip))

    @asynccontextmanager
    async def shared(self, bus: Bus) -> AsyncIterator[None]:
        """Inside the block offences are told to the other processes, and heard from them."""

        def heard(message: str) -> None:
            data = orjson.loads(message)
            if data.pop("from") != self._process_id:
                ids = {name: None if data[name] is None else UUID(data[name]) for name in ("organization_id", "key_id")}
                self._remember(Noted(**{**data, **ids}), called=False)

        # What is missed in a gap is missing from a score, and no more.
        subscription = await bus.subscribe(CHANNEL, heard, on_gap=lambda: None)
        sending = asyncio.create_task(self._send(bus), name="behaviour")
        try:
            yield
        finally:
            bus.unsubscribe(subscription)
            sending.cancel()
            await asyncio.wait([sending, *self._aside])

    def _remember(self, noted: Noted, *, called: bool) -> Record | None:
        """Returns the record that leads to a block, of one user at one address."""
        now = self._clock()
        for key in _keys(noted.organization_id, noted.user_id, noted.key_id, noted.address):
            record = self._record(key)
            if called:
                record.calls.append(now)
            if noted.offended:
                record.offences.append(now)
            if noted.digest is not None:
                record.probed(noted.digest, now)
        if not noted.offended or noted.user_id is None:
            return None
        pair = self._record((noted.organization_id, "pair", noted.user_id, noted.address))
        pair.offences.append(now)
        return pair

    def _record(self, key: tuple[Any, ...]) -> Record:
        record = self._records.get(key)
        if record is None:
            record = self._records[key] = Record()
            oldest = next(iter(self._records))
            self._records[oldest].forget(self._clock() - max(WINDOW_S, self._rule.window_s))
            if oldest != key and (len(self._records) > MOST_RECORDS or self._records[oldest].is_empty()):
                del self._records[oldest]
        else:
            self._records.move_to_end(key)
        return record

    async def _send(self, bus: Bus) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._unsent:
                noted = self._unsent.popleft()
                message = orjson.dumps({"from": self._process_id, **_wire(noted)})
                try:
                    await bus.publish(CHANNEL, message)
                except CustomhouseError as error:
                    log.warning("an offence was not told to other processes", extra={"error": error.message})

    async def _block(self, noted: Noted, ip: str | None) -> None:
        rule = self._rule
        if noted.user_id is None:
            return
        reason = f"{rule.after} prompts blocked as abuse within {rule.window_s / 60:g} minutes"
        entry = NewBlock(
            kind=BlockKind.USER,
            subject=noted.user_id,
            network=noted.address,
            reason=reason,
            lasts=timedelta(seconds=rule.duration_s),
        )
        added = await self._blocks.add_automatic(noted.organization_id, entry, actor=ACTOR)
        if added is None:
            return
        log.warning(
            "blocked automatically", extra={"organization_id": str(noted.organization_id), "block_id": str(added.id)}
        )
        if self._alerts is not None:
            where = "" if ip is None else f" from {ip}"
            await self._alerts.raise_alert(
                Alert(
                    organization_id=noted.organization_id,
                    kind=AlertKind.BLOCK,
                    severity=Severity.HIGH,
                    title="A user was blocked after repeated abuse",
                    text=(
                        f"User {noted.user_id}{where}: {reason}. Blocked until {added.expires_at:%Y-%m-%d %H:%M} UTC. "
                        f"Take it away with: customhouse blocks remove {added.id}"
                    ),
                    subject=f"user:{noted.user_id}",
                    dedup_key=f"block:{added.id}",
                    details={"block_id": str(added.id), "network": added.network},
                )
            )

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it aside. Nobody waits for it, so a failure goes to the log."""

        def ended(task: asyncio.Task[None]) -> None:
            self._aside.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("an automatic block could not be made", exc_info=error)

        task = asyncio.create_task(work)
        self._aside.add(task)
        task.add_done_callback(ended)


def _keys(
    organization_id: UUID, user_id: str | None, key_id: UUID | None, address: str | None
) -> list[tuple[Any, ...]]:
    named = (("user", user_id), ("key", key_id), ("ip", address))
    return [(organization_id, kind, id_) for kind, id_ in named if id_ is not None]


def _counted(ip: str | None) -> str | None:
    address = None if ip is None else parse_address(ip)
    return None if address is None else subscriber(address)


def _wire(noted: Noted) -> dict[str, Any]:
    return {
        "organization_id": noted.organization_id,
        "user_id": noted.user_id,
        "key_id": noted.key_id,
        "address": noted.address,
        "offended": noted.offended,
        "digest": noted.digest,
    }
