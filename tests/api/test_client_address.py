"""Whom a request is taken to come from."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.client_address import ClientAddresses
from workers.settings import parse_networks

PROXIES = "10.0.0.0/8, 2001:db8:ffff::/48"


def seen(peer: str | None, *headers: str, trusted: str = PROXIES) -> str | None:
    scope: dict[str, Any] = {
        "type": "http",
        "client": None if peer is None else (peer, 4711),
        "headers": [(b"x-forwarded-for", header.encode("latin-1")) for header in headers],
    }
    address = ClientAddresses(parse_networks(trusted)).of(scope)
    return None if address is None else str(address)


@pytest.mark.parametrize(
    ("peer", "headers", "address"),
    [
        ("198.51.100.1", [], "198.51.100.1"),
        ("198.51.100.1", ["192.0.2.1"], "198.51.100.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", ["203.0.113.9, 192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", ["203.0.113.9, 192.0.2.1, 10.0.0.7"], "192.0.2.1"),
        ("10.0.0.1", ["203.0.113.9", "192.0.2.1", "10.0.0.7"], "192.0.2.1"),
        ("10.0.0.1", ["10.0.0.9, 10.0.0.7"], "10.0.0.9"),
        ("10.0.0.1", ["192.0.2.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["192.0.2.1, nonsense, 10.0.0.7"], "10.0.0.7"),
        ("10.0.0.1", [" , 192.0.2.1 ,, "], "192.0.2.1"),
        ("10.0.0.1", ["[2001:db8::9]:1234"], "2001:db8::9"),
        ("10.0.0.1", ["192.0.2.1:1234"], "192.0.2.1"),
        ("::ffff:10.0.0.1", ["::ffff:192.0.2.1"], "192.0.2.1"),
        ("2001:db8:ffff::1", ["2001:db8::9"], "2001:db8::9"),
        (None, ["192.0.2.1"], None),
    ],
)
def test_proxies_are_believed_from_the_end_as_far_as_they_are_trusted(
    peer: str | None, headers: list[str], address: str | None
) -> None:
    assert seen(peer, *headers) == address


def test_nobody_is_believed_unless_configured() -> None:
    assert seen("10.0.0.1", "192.0.2.1", trusted="") == "10.0.0.1"
    assert seen("127.0.0.1", "192.0.2.1", trusted="") == "127.0.0.1"


@given(st.lists(st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=30), max_size=5))
def test_whatever_a_client_sends_it_cannot_choose_its_address(sent: list[str]) -> None:
    """The proxy appends the true one."""
    assert seen("10.0.0.1", *sent, "192.0.2.1") == "192.0.2.1"


@given(st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=200))
def test_any_header_gives_an_address(header: str) -> None:
    address = seen("10.0.0.1", header)
    assert address is not None
    assert str(ip_address(address)) == address
