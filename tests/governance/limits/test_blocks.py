"""Who is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any
from uuid import UUID

import pytest

from customhouse.contracts.rate_limits import BlockEffect, BlockKind, BlockRule
from customhouse.governance.limits.blocks import BlockList, Facts

NOW = datetime(2026, 8, 1, tzinfo=UTC)
KEY = UUID(int=7)


def entry(effect: str, kind: str, subject: str, **more: Any) -> BlockRule:
    given: dict[str, Any] = {"id": UUID(int=9), "reason": "because of Tuesday", **more}
    return BlockRule(effect=BlockEffect(effect), kind=BlockKind(kind), subject=subject, **given)


def who(ip: str | None = None, **known: Any) -> Facts:
    return Facts(None if ip is None else ip_address(ip), **known)


def refused(facts: Facts, *entries: BlockRule, lists: tuple[BlockKind, ...] = tuple(BlockKind)) -> str | None:
    refusal = BlockList(entries).refusal(facts, NOW, lists)
    return None if refusal is None else refusal.error.message


def test_an_empty_list_refuses_nobody() -> None:
    assert not BlockList()
    assert refused(who("192.0.2.1", key_id=KEY)) is None


@pytest.mark.parametrize(
    ("kind", "subject", "facts"),
    [
        ("ip", "192.0.2.0/24", who("192.0.2.77")),
        ("ip", "2001:db8::/32", who("2001:db8:1::1")),
        ("user", "u", who(user_id="u")),
        ("agent", "a", who(agent_id="a")),
        ("key", str(KEY), who(key_id=KEY)),
    ],
)
def test_who_is_denied_is_told_so_but_not_the_reason(kind: str, subject: str, facts: Facts) -> None:
    said = refused(facts, entry("deny", kind, subject))
    assert said is not None
    assert "blocked" in said
    assert str(UUID(int=9)) in said
    assert "Tuesday" not in said
    assert refused(who("198.51.100.1", user_id="v", agent_id="b"), entry("deny", kind, subject)) is None


def test_an_expired_entry_counts_no_more() -> None:
    facts = who(user_id="u")
    assert refused(facts, entry("deny", "user", "u", expires_at=NOW + timedelta(seconds=1))) is not None
    assert refused(facts, entry("deny", "user", "u", expires_at=NOW)) is None


def test_a_user_may_be_denied_at_one_place_alone() -> None:
    here = entry("deny", "user", "u", network="192.0.2.0/24")
    assert refused(who("192.0.2.1", user_id="u"), here) is not None
    assert refused(who("198.51.100.1", user_id="u"), here) is None
    assert refused(who(user_id="u"), here) is None
    assert refused(who("192.0.2.1", user_id="v"), here) is None


def test_allow_goes_before_deny() -> None:
    entries = (entry("deny", "ip", "192.0.2.0/24"), entry("allow", "ip", "192.0.2.1"))
    assert refused(who("192.0.2.1"), *entries) is None
    assert refused(who("192.0.2.2"), *entries) is not None
    assert refused(who("192.0.2.2", user_id="u"), *entries, entry("allow", "user", "u")) is None
    gone = entry("allow", "user", "u", expires_at=NOW)
    assert refused(who("192.0.2.2", user_id="u"), *entries, gone) is not None


def test_only_lets_nobody_else_in() -> None:
    office = (entry("only", "ip", "192.0.2.0/24"), entry("only", "ip", "2001:db8::/32"))
    assert refused(who("192.0.2.9"), *office) is None
    assert refused(who("2001:db8::9"), *office) is None
    said = refused(who("198.51.100.1"), *office)
    assert said is not None
    assert "the address 198.51.100.1 is not on it" in said
    assert refused(who(), *office) is None, "through Temporal there is no address"


def test_each_kind_has_a_list_of_its_own() -> None:
    entries = (entry("only", "user", "u"), entry("only", "key", str(KEY)))
    assert refused(who(user_id="u", key_id=KEY), *entries) is None
    assert "a call without a user is not on it" in (refused(who(key_id=KEY), *entries) or "")
    assert "the key" in (refused(who(user_id="u", key_id=UUID(int=8)), *entries) or "")


def test_a_list_whose_entries_have_all_expired_keeps_nobody_out() -> None:
    assert refused(who("198.51.100.1"), entry("only", "ip", "192.0.2.0/24", expires_at=NOW)) is None


def test_what_is_not_known_yet_is_asked_later() -> None:
    entries = (entry("only", "user", "u"), entry("only", "ip", "192.0.2.0/24"))
    assert refused(who("192.0.2.1", key_id=KEY), *entries, lists=(BlockKind.IP, BlockKind.KEY)) is None
    assert refused(who("198.51.100.1"), *entries, lists=(BlockKind.IP, BlockKind.KEY)) is not None
    assert refused(who("198.51.100.1"), *entries, lists=()) is None


def test_an_allowed_caller_must_be_on_the_list_all_the_same() -> None:
    entries = (entry("allow", "user", "u"), entry("only", "ip", "192.0.2.0/24"))
    assert refused(who("198.51.100.1", user_id="u"), *entries) is not None
