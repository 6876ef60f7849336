"""Where the windows of rate limits are kept: in this process, or in a Valkey that several processes share.

`limits` opens the connection to Valkey (single, TLS, cluster, sentinel) and reads amounts as people write them. Its own
strategies are not used, for reasons that were measured: see docs/decisions/0013-sliding-windows.md.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, cast

from customhouse.contracts.errors import ConfigurationError, NotReady
from customhouse.contracts.timing import RATE_LIMIT_PAUSE, RATE_LIMIT_TIMEOUT
from customhouse.governance.limits.rules import Charge, Outcome
from customhouse.governance.limits.windows import Standing, Window

log = logging.getLogger(__name__)

MOST_WINDOWS = 200_000
"""Windows of one length that a process keeps: some 100 MB. Past it those are dropped that were idle for longest."""


class Windows(Protocol):
    """Counts what passes through sliding windows."""

    async def take(self, charges: Sequence[Charge]) -> Outcome:
        """Count all charges, if each has room; else none of them. Raises NotReady where nothing can be counted."""
        ...

    async def settle(self, differences: Sequence[tuple[Charge, int]], taken_at_ms: int) -> None:
        """Correct what was taken at `taken_at_ms`: by the difference of the truth, in units of either sign."""
        ...

    async def close(self) -> None: ...


class MemoryWindows:
    """In this process alone. Takes some microseconds a window, and never waits."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # By length, so that those which were asked for longest ago are those which are empty first.
        self._windows: dict[int, OrderedDict[str, Window]] = {}

    async def take(self, charges: Sequence[Charge]) -> Outcome:
        now = self._now()
        windows = [self._window(charge) for charge in charges]
        before = [w.standing(c.limit, c.need, now) for w, c in zip(windows, charges, strict=True)]
        if any(standing.retry_ms != 0 for standing in before):
            self._sweep(charges, now)
            return Outcome(admitted=False, standings=before, at_ms=now)
        for window, charge in zip(windows, charges, strict=True):
            window.take(charge.take, now)
        after = [w.standing(c.limit, 0, now) for w, c in zip(windows, charges, strict=True)]
        self._sweep(charges, now)
        return Outcome(admitted=True, standings=after, at_ms=now)

    async def settle(self, differences: Sequence[tuple[Charge, int]], taken_at_ms: int) -> None:
        now = self._now()
        for charge, units in differences:
            window = self._window(charge)
            if units > 0:
                window.take(units, now)
            else:
                window.give_back(-units, taken_at_ms)

    async def close(self) -> None:
        """Nothing is open."""

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _window(self, charge: Charge) -> Window:
        windows = self._windows.setdefault(charge.window_ms, OrderedDict())
        key = window_key(charge)
        window = windows.get(key)
        if window is None:
            window = windows[key] = Window(charge.window_ms)
        else:
            windows.move_to_end(key)
        return window

    def _sweep(self, charges: Sequence[Charge], now: int) -> None:
        """Drop two for each that may be new: as many as have run empty are gone soon."""
        for charge in charges:
            windows = self._windows[charge.window_ms]
            for _ in range(2):
                oldest = next(iter(windows), None)
                if oldest is None or not (len(windows) > MOST_WINDOWS or windows[oldest].is_empty(now)):
                    break
                del windows[oldest]


# `governance/limits/windows.py` in Lua, for all charges of a call at once. ARGV: for each key its limit, need, units to
# take, and window in milliseconds.
_TAKE = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local taken, admitted, before = {}, true, {}
for i, key in ipairs(KEYS) do
  local limit, need = tonumber(ARGV[4*i-3]), tonumber(ARGV[4*i-2])
  local window = tonumber(ARGV[4*i])
  local slot_ms = math.ceil(window / 60)
  local flat, live, dead, used = redis.call('HGETALL', key), {}, {}, 0
  for j = 1, #flat, 2 do
    local leaves = (tonumber(flat[j]) + 1) * slot_ms + window
    if leaves <= now then dead[#dead+1] = flat[j]
    else
      local units = tonumber(flat[j+1])
      live[#live+1] = {leaves, units}
      used = used + units
    end
  end
  if #dead > 0 then redis.call('HDEL', key, unpack(dead)) end
  table.sort(live, function(a, b) return a[1] < b[1] end)
  local retry, over = 0, used + need - limit
  if need > limit then retry = -1
  elseif over > 0 then
    for _, each in ipairs(live) do
      over = over - each[2]
      if over <= 0 then retry = each[1] - now break end
    end
  end
  if retry ~= 0 then admitted = false end
  before[i] = {used, retry, #live > 0 and live[#live][1] - now or 0}
end
local answer = {admitted and 1 or 0, now}
for i, key in ipairs(KEYS) do
  local used, retry, reset = unpack(before[i])
  local take, window = tonumber(ARGV[4*i-1]), tonumber(ARGV[4*i])
  if admitted and take > 0 then
    local slot_ms = math.ceil(window / 60)
    local slot = math.floor(now / slot_ms)
    redis.call('HINCRBY', key, string.format('%.0f', slot), ARGV[4*i-1])
    redis.call('PEXPIRE', key, window + 2 * slot_ms)
    used, reset = used + take, (slot + 1) * slot_ms + window - now
  end
  answer[#answer+1] = string.format('%.0f %.0f %.0f', used, retry, reset)
end
return answer
"""

# ARGV: when it was taken, then for each key the difference in units, and the window in milliseconds.
_SETTLE = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
for i, key in ipairs(KEYS) do
  local units, window = tonumber(ARGV[2*i]), tonumber(ARGV[2*i+1])
  local slot_ms = math.ceil(window / 60)
  if units > 0 then
    redis.call('HINCRBY', key, string.format('%.0f', math.floor(now / slot_ms)), ARGV[2*i])
    redis.call('PEXPIRE', key, window + 2 * slot_ms)
  else
    local slot = string.format('%.0f', math.floor(tonumber(ARGV[1]) / slot_ms))
    local left = tonumber(redis.call('HGET', key, slot) or '0') + units
    if left > 0 then redis.call('HSET', key, slot, string.format('%.0f', left))
    else redis.call('HDEL', key, slot) end
  end
end
"""


class ValkeyWindows:
    """In Valkey, by its clock: processes that share it keep each limit together."""

    def __init__(self, url: str) -> None:
        """Connects at the first call. Raises ConfigurationError for a URL that cannot be used; it is not shown."""
        from limits.aio.storage import RedisStorage
        from limits.errors import ConfigurationError as Unusable
        from limits.storage import storage_from_string

        timeout = RATE_LIMIT_TIMEOUT.total_seconds()
        try:
            storage = storage_from_string(
                f"async+{url}", socket_timeout=timeout, socket_connect_timeout=timeout, wrap_exceptions=True
            )
        except (Unusable, ValueError, TypeError, AttributeError) as error:
            raise ConfigurationError(
                "CUSTOMHOUSE_VALKEY_URL cannot be used. Write it as valkey://:password@host:6379/0; valkeys:// is TLS."
            ) from error
        if not isinstance(storage, RedisStorage):
            raise ConfigurationError("CUSTOMHOUSE_VALKEY_URL names no Valkey: begin with valkey:// or valkeys://.")
        bridge: Any = storage.bridge
        self._client: Any = bridge.get_connection()
        self._take = cast("Callable[..., Awaitable[list[Any]]]", self._client.register_script(_TAKE))
        self._settle = cast("Callable[..., Awaitable[None]]", self._client.register_script(_SETTLE))

    async def take(self, charges: Sequence[Charge]) -> Outcome:
        arguments: list[int] = []
        for charge in charges:
            arguments += [charge.limit, charge.need, charge.take, charge.window_ms]
        admitted, now, *standings = await self._take(keys=[window_key(charge) for charge in charges], args=arguments)
        return Outcome(admitted=admitted == 1, standings=[_standing(each) for each in standings], at_ms=int(now))

    async def settle(self, differences: Sequence[tuple[Charge, int]], taken_at_ms: int) -> None:
        arguments: list[int] = [taken_at_ms]
        for charge, units in differences:
            arguments += [units, charge.window_ms]
        await self._settle(keys=[window_key(charge) for charge, _ in differences], args=arguments)

    async def close(self) -> None:
        await self._client.aclose()


class GuardedWindows:
    """Valkey's windows within a deadline. While it is away this process counts alone, or refuses to."""

    def __init__(
        self,
        shared: Windows,
        *,
        closed: bool,
        on_away: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`closed`: refuse what is limited while it cannot be counted with the others. `on_away`: told once each time
        that Valkey goes away, with the reason.
        """
        self._shared = shared
        self._own = MemoryWindows()
        self._closed = closed
        self._on_away = on_away
        self._clock = clock
        self._away_until = 0.0
        self._is_away = False

    async def take(self, charges: Sequence[Charge]) -> Outcome:
        if self._clock() >= self._away_until:
            try:
                async with asyncio.timeout(RATE_LIMIT_TIMEOUT.total_seconds()):
                    outcome = await self._shared.take(charges)
            except _failures() as error:
                self._went_away(error)
            else:
                self._came_back()
                return outcome
        if self._closed:
            raise NotReady(
                "Calls with rate limits are not taken while Valkey, which counts them, does not answer. Try again.",
                retry_after_s=RATE_LIMIT_PAUSE.total_seconds(),
            )
        return await self._own.take(charges)

    async def settle(self, differences: Sequence[tuple[Charge, int]], taken_at_ms: int) -> None:
        """What Valkey does not take stands as it was estimated."""
        if self._is_away:
            await self._own.settle(differences, taken_at_ms)
            return
        try:
            async with asyncio.timeout(RATE_LIMIT_TIMEOUT.total_seconds()):
                await self._shared.settle(differences, taken_at_ms)
        except _failures() as error:
            self._went_away(error)

    async def close(self) -> None:
        await self._shared.close()

    def _went_away(self, error: BaseException) -> None:
        self._away_until = self._clock() + RATE_LIMIT_PAUSE.total_seconds()
        if not self._is_away:
            self._is_away = True
            reason = type(error).__name__
            how = "calls with limits are refused" if self._closed else "each process counts alone"
            log.warning("Valkey does not answer; %s until it does", how, extra={"error": reason})
            self._on_away(reason)

    def _came_back(self) -> None:
        if self._is_away:
            self._is_away = False
            log.info("Valkey answers again")


def window_key(charge: Charge) -> str:
    """The organization stands in braces: a cluster keeps all windows of one call on one node."""
    rule = charge.rule
    return (
        f"customhouse:limits:{{{charge.organization_id}}}:{rule.scope}:{rule.metric}:{rule.window_s}:{charge.subject}"
    )


def _standing(text: bytes | str) -> Standing:
    used, retry, reset = (int(part) for part in text.split())
    return Standing(used, None if retry < 0 else retry, reset)


def _failures() -> tuple[type[Exception], ...]:
    from valkey.exceptions import ValkeyError

    return (ValkeyError, OSError, TimeoutError)
