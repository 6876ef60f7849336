"""The window's promise: in no window of its length does more pass than its amount."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from customhouse.governance.limits.windows import SLOTS, Window, slot_ms

PAUSES = st.integers(0, 5_000)
STEPS = st.lists(st.tuples(PAUSES, st.integers(1, 8)), max_size=150)


def passed(window: Window, limit: int, steps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """(moment, units) of what found room."""
    now, through = 1_000_000, []
    for pause, units in steps:
        now += pause
        if window.standing(limit, units, now).retry_ms == 0:
            window.take(units, now)
            through.append((now, units))
    return through


@given(window_ms=st.integers(1, 40_000), limit=st.integers(1, 30), steps=STEPS)
def test_no_window_ever_lets_more_pass(window_ms: int, limit: int, steps: list[tuple[int, int]]) -> None:
    through = passed(Window(window_ms), limit, steps)
    for begins, _ in through:
        assert sum(units for moment, units in through if begins <= moment < begins + window_ms) <= limit


@given(window_ms=st.integers(1, 40_000), limit=st.integers(1, 30), steps=STEPS, need=st.integers(1, 40))
def test_who_comes_when_told_finds_room_and_not_before(
    window_ms: int, limit: int, steps: list[tuple[int, int]], need: int
) -> None:
    window = Window(window_ms)
    through = passed(window, limit, steps)
    now = 1_000_000 + sum(pause for pause, _ in steps)
    retry = window.standing(limit, need, now).retry_ms
    if retry is None:
        assert need > limit
    elif retry:
        assert retry <= window_ms + slot_ms(window_ms)
        assert Window(window_ms, dict(window._slots), window._used).standing(limit, need, now + retry - 1).retry_ms
        assert window.standing(limit, need, now + retry).retry_ms == 0
    else:
        assert sum(units for moment, units in through if moment > now - window_ms) + need <= limit


@given(window_ms=st.integers(1, 40_000), limit=st.integers(1, 30), steps=STEPS)
def test_it_holds_little_and_runs_empty_when_it_says(window_ms: int, limit: int, steps: list[tuple[int, int]]) -> None:
    window = Window(window_ms)
    passed(window, limit, steps)
    now = 1_000_000 + sum(pause for pause, _ in steps)
    reset = window.standing(limit, 1, now).reset_ms
    assert len(window._slots) <= SLOTS + 1
    assert reset == 0 or not window.is_empty(now + reset - 1)
    assert window.is_empty(now + reset)


@given(
    takes=st.lists(st.tuples(PAUSES, st.integers(0, 50), st.integers(0, 80)), min_size=1, max_size=60),
    window_ms=st.integers(1_000, 40_000),
)
def test_what_is_given_back_has_room_again_and_never_twice(takes: list[tuple[int, int, int]], window_ms: int) -> None:
    window, now, counted = Window(window_ms), 1_000_000, 0
    for pause, units, back in takes:
        now += pause
        counted = window.standing(10**6, 1, now).used
        window.take(units, now)
        window.give_back(back, now)
        used = window.standing(10**6, 1, now).used
        assert 0 <= used <= counted + units
        # A slot may hold what others took just before, so at most that and never more than was said is given back.
        assert used >= counted + units - back
    assert window.standing(10**6, 1, now + 3 * window_ms).used == 0


def test_units_that_have_left_the_window_are_not_given_back() -> None:
    window = Window(60_000)
    window.take(10, 0)
    window.take(5, 70_000)
    window.give_back(10, 0)
    assert window.standing(100, 1, 70_000).used == 5
