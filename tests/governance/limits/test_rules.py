"""Which limits apply, and what a caller is told."""

from __future__ import annotations

from decimal import Decimal
from ipaddress import ip_address
from uuid import UUID

import pytest

from customhouse.contracts.invocation import Caller
from customhouse.contracts.rate_limits import LimitMetric, LimitRule, LimitScope
from customhouse.governance.limits.rules import Charge, Outcome, Rules, address_subject, duration, headers, refusal
from customhouse.governance.limits.windows import Standing

ORGANIZATION = UUID(int=1)
KEY = UUID(int=2)


def rule(scope: str, subject: str = "*", metric: str = "requests", amount: str = "10", window_s: int = 60) -> LimitRule:
    return LimitRule(
        scope=LimitScope(scope),
        subject=subject,
        metric=LimitMetric(metric),
        amount=Decimal(amount),
        window_s=window_s,
    )


def caller(**known: str) -> Caller:
    return Caller(organization_id=ORGANIZATION, key_id=KEY, **known)


def applying(rules: list[LimitRule], who: Caller, ip: str | None = None) -> set[tuple[str, str, int]]:
    found = Rules(ORGANIZATION, rules).applying(who, None if ip is None else ip_address(ip))
    return {(each.rule.scope.value, each.subject, each.limit) for each in found}


def test_each_scope_counts_its_own_callers() -> None:
    rules = [rule(scope.value) for scope in LimitScope]
    assert applying(rules, caller(user_id="u", agent_id="a"), "192.0.2.1") == {
        ("organization", "*", 10),
        ("user", "u", 10),
        ("agent", "a", 10),
        ("key", str(KEY), 10),
        ("ip", "192.0.2.1", 10),
    }
    assert applying(rules, caller()) == {("organization", "*", 10), ("key", str(KEY), 10)}


def test_the_particular_goes_before_the_general_of_the_same_metric_and_window() -> None:
    rules = [
        rule("user"),
        rule("user", metric="tokens", amount="500"),
        rule("user", window_s=3600, amount="99"),
        rule("user", "vip", amount="1000"),
    ]
    assert applying(rules, caller(user_id="vip")) == {("user", "vip", 1000), ("user", "vip", 500), ("user", "vip", 99)}
    assert applying(rules, caller(user_id="u")) == {("user", "u", 10), ("user", "u", 500), ("user", "u", 99)}


def test_a_limit_on_one_user_is_nobody_elses() -> None:
    assert applying([rule("user", "u")], caller(user_id="v")) == set()


def test_addresses_of_ipv6_are_counted_by_subscriber() -> None:
    rules = [rule("ip"), rule("ip", address_subject("2001:db8:0:1::7"), amount="3")]
    assert applying(rules, caller(), "2001:db8:0:1::9") == {("ip", "2001:db8:0:1::/64", 3)}
    assert applying(rules, caller(), "2001:db8:0:2::9") == {("ip", "2001:db8:0:2::/64", 10)}


@pytest.mark.parametrize("text", ["", "example.org", "192.0.2.300"])
def test_an_address_that_is_none_says_so(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        address_subject(text)


def test_dollars_are_counted_in_billionths_and_afterwards() -> None:
    rules = Rules(ORGANIZATION, [rule("organization", metric="usd", amount="0.5")])
    (charge,) = rules.charges(rules.applying(caller(), None), tokens=700)
    assert (charge.limit, charge.need, charge.take) == (500_000_000, 1, 0)


def charges(*rules: LimitRule) -> list[Charge]:
    laid = Rules(ORGANIZATION, rules)
    return laid.charges(laid.applying(caller(user_id="u-17"), ip_address("192.0.2.1")), tokens=700)


def test_a_refusal_says_which_limit_of_whom_and_when_to_try_again() -> None:
    limits = charges(rule("user", amount="10"), rule("ip", metric="tokens", amount="5000", window_s=3600))
    standings = [Standing(10, 1_200, 60_000), Standing(4_900, 61_000, 3_600_000)]
    error = refusal(limits, Outcome(admitted=False, standings=standings, at_ms=0))
    assert error.code == "rate_limit_exceeded"
    assert error.status == 429
    assert error.retry_after_s == 61
    assert error.message == (
        "The limit of 5000 tokens in 1h0m0s for address '192.0.2.1' is reached: 100 tokens left. Try again in 1m1s."
    )


def test_a_request_that_can_never_pass_says_so_and_names_no_time() -> None:
    limits = charges(rule("organization", metric="tokens", amount="500"))
    error = refusal(limits, Outcome(admitted=False, standings=[Standing(0, None, 0)], at_ms=0))
    assert error.retry_after_s is None
    assert "asks for 700 tokens at once, and the limit is 500 tokens in 1m0s for the organization" in error.message


def test_dollars_are_shown_as_dollars() -> None:
    limits = charges(rule("key", metric="usd", amount="0.5"))
    error = refusal(limits, Outcome(admitted=False, standings=[Standing(500_000_001, 5_000, 60_000)], at_ms=0))
    assert f"The limit of 0.5 USD in 1m0s for key '{KEY}' is reached: 0 USD left" in error.message


def test_headers_show_the_tightest_limit_of_each_metric() -> None:
    limits = charges(
        rule("user", amount="10"),
        rule("organization", amount="100"),
        rule("organization", metric="tokens", amount="1000"),
        rule("organization", metric="usd", amount="1"),
    )
    by_scope = {"user": Standing(4, 0, 59_001), "organization": Standing(99, 0, 1_000)}
    standings = [
        Standing(250, 0, 361_000) if each.rule.metric is LimitMetric.TOKENS else by_scope[each.rule.scope]
        for each in limits
    ]
    assert headers(limits, standings) == {
        "x-ratelimit-limit-requests": "100",
        "x-ratelimit-remaining-requests": "1",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "750",
        "x-ratelimit-reset-tokens": "6m1s",
    }


@pytest.mark.parametrize(
    ("ms", "shown"),
    [
        (0, "0ms"),
        (120, "120ms"),
        (999, "999ms"),
        (1000, "1s"),
        (1001, "2s"),
        (360_000, "6m0s"),
        (86_400_000, "24h0m0s"),
    ],
)
def test_durations_are_written_as_openai_writes_them(ms: int, shown: str) -> None:
    assert duration(ms) == shown
