"""A sliding window that never lets more than its amount pass, in any window of its length.

What was taken is summed in slots, a sixtieth of the window each, and a whole slot leaves at once: when its last moment
has left the window. So a unit counts for up to a sixtieth longer than it must, never shorter, and a window is at most
61 numbers however much passes through it. `integrations/rate_limits.py` has the same rule in Lua, for Valkey.

Times are milliseconds of any clock that does not jump; units are whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

SLOTS = 60


def slot_ms(window_ms: int) -> int:
    """Length of one slot, in milliseconds, rounded up."""
    return -(-window_ms // SLOTS)


@dataclass(frozen=True, slots=True)
class Standing:
    """How full a window is, after what was taken just now."""

    used: int
    retry_ms: int | None
    """Until what was asked for has room, if nothing else is taken meanwhile: 0 where it has, None if it never will."""
    reset_ms: int
    """Until the window is empty, if nothing else is taken meanwhile."""


@dataclass(slots=True)
class Window:
    """What was taken within the last `window_ms`. Never asked with a time before the last one."""

    window_ms: int
    _slots: dict[int, int] = field(default_factory=dict)
    """Slot number → units; oldest first, since time only goes on."""
    _used: int = 0

    def standing(self, limit: int, need: int, now: int) -> Standing:
        """`need`: the room that is asked for."""
        self._forget(now)
        newest = next(reversed(self._slots), None)
        reset = 0 if newest is None else self._leaves_at(newest) - now
        return Standing(self._used, self._retry_ms(limit, need, now), reset)

    def take(self, units: int, now: int) -> None:
        """Count units. Whether they have room is for `standing` to say, before."""
        if units:
            slot = now // slot_ms(self.window_ms)
            self._slots[slot] = self._slots.get(slot, 0) + units
            self._used += units

    def give_back(self, units: int, taken_at: int) -> None:
        """Units that were taken at `taken_at` and not needed. Those that have left the window already stay gone."""
        slot = taken_at // slot_ms(self.window_ms)
        back = min(units, self._slots.get(slot, 0))
        if back:
            self._slots[slot] -= back
            self._used -= back
            if not self._slots[slot]:
                del self._slots[slot]

    def is_empty(self, now: int) -> bool:
        self._forget(now)
        return not self._slots

    def _retry_ms(self, limit: int, need: int, now: int) -> int | None:
        if need > limit:
            return None
        over = self._used + need - limit
        if over <= 0:
            return 0
        for slot, units in self._slots.items():
            over -= units
            if over <= 0:
                return self._leaves_at(slot) - now
        return None

    def _leaves_at(self, slot: int) -> int:
        return (slot + 1) * slot_ms(self.window_ms) + self.window_ms

    def _forget(self, now: int) -> None:
        while self._slots:
            slot = next(iter(self._slots))
            if self._leaves_at(slot) > now:
                return
            self._used -= self._slots.pop(slot)
