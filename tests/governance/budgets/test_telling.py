"""What callers and operators are told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from customhouse.contracts.budgets import BudgetSpec, Shortage
from customhouse.contracts.errors import BudgetExceeded, BudgetPriceUnknown, BudgetReserved, from_record
from customhouse.governance.budgets.forecast import forecast
from customhouse.governance.budgets.refusals import refusal
from customhouse.governance.budgets.thresholds import REFUSED, Passed, alert_of

BUDGET = UUID(int=7)
START = datetime(2026, 11, 1, tzinfo=UTC)
END = datetime(2026, 12, 1, tzinfo=UTC)


def a_shortage(kind: str, **changes: Any) -> Shortage:
    known = {
        "kind": kind,
        "budget_id": BUDGET,
        "name": "team",
        "scope": "agent",
        "subject": "a",
        "period": "month",
        "current": "2026-11",
        "resets_at": END,
        "amount_usd": "10",
        "used_usd": "4",
        "reserved_usd": "5",
        "needed_usd": "2",
    }
    return Shortage.model_validate(known | changes)


@pytest.mark.parametrize(
    ("kind", "error", "status"),
    [("spent", BudgetExceeded, 402), ("reserved", BudgetReserved, 429), ("unpriced", BudgetPriceUnknown, 403)],
)
def test_each_shortage_has_its_error(kind: str, error: type[BudgetExceeded], status: int) -> None:
    made = refusal([a_shortage(kind)], "m@p@eu")
    assert type(made) is error
    assert made.status == status
    assert "The budget 'team' (agent a, month 2026-11)" in made.message
    assert type(from_record(made.to_record())) is error


def test_what_cannot_be_waited_out_is_told_first() -> None:
    made = refusal([a_shortage("reserved"), a_shortage("spent", name="other", subject="b")], "m@p@eu")
    assert type(made) is BudgetExceeded
    assert "'other'" in made.message
    assert "1 more budgets" in made.message


def test_a_runs_budget_does_not_begin_anew() -> None:
    shortage = a_shortage("spent", period="run", current="run-1", resets_at=None, scope="organization")
    message = refusal([shortage], "m@p@eu").message
    assert "(the organization, this run)" in message
    assert "does not begin anew" in message


def test_no_less_than_nothing_is_left() -> None:
    assert "has 0 USD of 10 USD left" in refusal([a_shortage("spent", used_usd="11")], "m@p@eu").message


def passed(threshold: int, **changes: Any) -> Passed:
    known: dict[str, Any] = {
        "organization_id": UUID(int=1),
        "budget_id": BUDGET,
        "name": "team",
        "scope": "user",
        "subject": "ann",
        "period": "2026-11",
        "amount_usd": Decimal(10),
        "used_usd": Decimal(8),
        "hard": True,
        "ends_at": END,
    }
    return Passed(**(known | changes), threshold=threshold)


def test_alerts_say_what_was_passed() -> None:
    soft, spent, refused = (alert_of(passed(threshold)) for threshold in (80, 100, REFUSED))
    assert "at 80 %" in soft.title
    assert "is spent" in spent.title
    assert "refuses calls" in refused.title
    assert "user ann, 2026-11: 8 of 10 USD are spent" in soft.text
    assert len({alert.dedup_key for alert in (soft, spent, refused)}) == 3
    assert alert_of(passed(80, subject="bob")).dedup_key != soft.dedup_key
    assert alert_of(passed(80, used_usd=Decimal(9))).dedup_key == soft.dedup_key
    assert "calls go on" in alert_of(passed(100, hard=False)).text


def test_long_names_fit() -> None:
    alert_of(passed(80, name="n" * 128, subject="s" * 256, period="r" * 256))


class TestForecast:
    def test_a_straight_line(self) -> None:
        assert forecast(Decimal(3), START, END, START + timedelta(days=10)) == 9

    def test_not_for_a_run_and_not_at_the_start(self) -> None:
        assert forecast(Decimal(3), None, None, START) is None
        assert forecast(Decimal(3), START, END, START + timedelta(minutes=14)) is None

    def test_a_period_that_is_over_has_come_to_what_it_used(self) -> None:
        assert forecast(Decimal(3), START, END, END + timedelta(days=1)) == 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"scope": "organization", "scope_id": "x"},
        {"scope": "key", "scope_id": "x"},
        {"scope": "team"},
        {"period": "week"},
        {"amount_usd": "-1"},
        {"amount_usd": "NaN"},
        {"amount_usd": "0.00000000001"},
        {"amount_usd": "1e11"},
        {"soft_percent": [0]},
        {"name": ""},
        {"name": "a\x00"},
        {"scope": "agent", "scope_id": "a\x00"},
        {"unpriced": "maybe"},
        {"colour": "red"},
    ],
)
def test_a_budget_that_makes_no_sense_is_not_made(wrong: dict[str, Any]) -> None:
    known = {"name": "team", "scope": "organization", "period": "month", "amount_usd": "10"}
    BudgetSpec.model_validate(known)
    with pytest.raises(ValueError, match="validation error"):
        BudgetSpec.model_validate(known | wrong)
