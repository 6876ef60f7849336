"""The budgets benchmark fails on whatever it is there to find."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Any

import pytest

from benchmarks.budgets.__main__ import bars
from benchmarks.budgets.audit import Audit
from benchmarks.budgets.client import End, Fate
from benchmarks.budgets.statements import Added, Cost

AMOUNT = Decimal(10)
SOUND = Audit(
    used_usd=Decimal("9.8"),
    reserved_usd=Decimal(0),
    held=0,
    worst_usd=Decimal("0.5"),
    logged_usd=Decimal("9.8"),
    dearest_usd=Decimal("0.3"),
    open_attempts=0,
    unknown_attempts=2,
    answered_attempts=40,
    unfinished=0,
)
ENDS = [End(Fate.ANSWERED, 1, 0, 0), End(Fate.SPENT, 3, 1, 1)]


def missed(found: Audit = SOUND, ends: list[End] = ENDS, added: float = 0.4, struck: int = 4) -> list[str]:
    made = bars(ends, found, AMOUNT, Added(Cost(5.0, 2.0), Cost(9.0, 2.0 + added)), struck, 4)
    return [bar.name for bar in made if not bar.is_met]


def test_nothing_is_missed_where_all_is_well() -> None:
    assert missed() == []
    over = dataclasses.replace(SOUND, used_usd=Decimal("10.3"), logged_usd=Decimal("10.3"))
    assert missed(over) == [], "by one attempt's truth"


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"used_usd": Decimal("10.4"), "logged_usd": Decimal("10.4")}, "spent beyond the budget"),
        ({"logged_usd": Decimal("9.9")}, "used, less the cost rows' sum"),
        ({"reserved_usd": Decimal("0.1")}, "reserved at the end"),
        ({"held": 1}, "reservations never settled"),
        ({"open_attempts": 1}, "attempts never settled"),
        ({"unfinished": 1}, "invocations without an end"),
        ({"used_usd": Decimal(9), "logged_usd": Decimal(9)}, "left at the end"),
    ],
)
def test_each_difference_is_found(change: dict[str, Any], name: str) -> None:
    assert missed(dataclasses.replace(SOUND, **change)) == [name]


def test_clients_kills_and_time_count_too() -> None:
    assert missed(ends=[*ENDS, End(Fate.LOST, 9, 0, 0)]) == ["clients without an end"]
    assert missed(ends=ENDS[:1]) == ["clients told that it is spent"]
    assert missed(struck=3) == ["kills of the app"]
    assert missed(added=1.1) == ["Postgres's CPU added by three budgets"]
