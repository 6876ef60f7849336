from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from customhouse.contracts.governance import Severity
from customhouse.governance.alerts.keys import LONGEST, dedup_key
from customhouse.governance.alerts.severity import at_least, severest

PARTS = st.lists(st.none() | st.text(alphabet=":%-ab", max_size=6) | st.text(max_size=400), min_size=1, max_size=6)


def test_a_key_can_be_read() -> None:
    assert dedup_key("budget", "b-1", "soft", None) == "budget:b-1:soft:-"


@given(PARTS, PARTS)
def test_different_parts_make_different_keys_that_fit(first: list[str | None], second: list[str | None]) -> None:
    assert (dedup_key(*first) == dedup_key(*second)) is (first == second)
    assert len(dedup_key(*first)) <= LONGEST


def test_severities_are_in_order() -> None:
    order = [Severity.INFO, Severity.LOW, Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL]
    assert [severity for severity in order if at_least(severity, Severity.MEDIUM)] == order[2:]
    assert severest(order[:4]) is Severity.HIGH
