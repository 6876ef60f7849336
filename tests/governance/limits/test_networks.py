"""Addresses and networks agree with the standard library's `ipaddress`."""

from __future__ import annotations

import ipaddress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customhouse.governance.limits.networks import (
    Network,
    NetworkMap,
    parse_address,
    parse_network,
    subscriber,
)

V4 = st.integers(0, 2**32 - 1)
V6 = st.integers(0, 2**128 - 1)

# Few distinct bits, so that networks hold addresses and overlap often.
FEW_V4 = st.integers(0, 255).map(lambda byte: (10 << 24) | (byte << 8) | (byte & 3))
FEW_V6 = st.integers(0, 255).map(lambda byte: (0x2001_0DB8 << 96) | (byte << 60) | (byte & 3))


def networks() -> st.SearchStrategy[Network]:
    v4 = st.tuples(st.one_of(FEW_V4, V4), st.integers(0, 32))
    v6 = st.tuples(st.one_of(FEW_V6, V6.filter(lambda number: number >> 32 != 0xFFFF)), st.integers(0, 128))
    return st.one_of(
        v4.map(lambda made: ipaddress.IPv4Network(made, strict=False)),
        v6.map(lambda made: ipaddress.IPv6Network(made, strict=False)),
    )


@given(
    entries=st.lists(networks(), max_size=30),
    address=st.one_of(FEW_V4.map(IPv4Address), FEW_V6.map(IPv6Address), V4.map(IPv4Address), V6.map(IPv6Address)),
)
def test_a_look_up_finds_what_ipaddress_finds(entries: list[Network], address: IPv4Address | IPv6Address) -> None:
    found = NetworkMap((network, number) for number, network in enumerate(entries))
    expected = sorted(number for number, network in enumerate(entries) if address in network)
    assert sorted(found.containing(address)) == expected
    assert bool(found) is bool(entries)


@given(V4.map(IPv4Address))
def test_ipv4_mapped_ipv6_is_ipv4(address: IPv4Address) -> None:
    mapped = IPv6Address(f"::ffff:{address}")
    assert parse_address(str(mapped)) == address
    assert parse_address(mapped.exploded) == address
    assert parse_network(f"::ffff:{address}") == ip_network(address)


@given(V4, st.integers(0, 32))
def test_an_ipv4_mapped_network_is_the_ipv4_one(number: int, length: int) -> None:
    address = IPv4Address(number)
    assert parse_network(f"::ffff:{address}/{96 + length}") == ip_network((number, length), strict=False)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        (" 192.0.2.1 ", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%25eth0]:80", "fe80::1"),
    ],
)
def test_addresses_as_headers_have_them(text: str, address: str) -> None:
    assert parse_address(text) == ip_address(address)


@pytest.mark.parametrize(
    "text", ["", "unknown", "_hidden", "192.0.2", "192.0.2.256", "010.0.0.1", "::g", "a:b", "[", "1"]
)
def test_what_is_no_address_is_none(text: str) -> None:
    assert parse_address(text) is None


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_none(text: str) -> None:
    address = parse_address(text)
    assert address is None or parse_address(str(address)) == address


@pytest.mark.parametrize("text", ["", "192.0.2.0/33", "192.0.2.0/-1", "::/129", "example.org", "192.0.2.0/24/8"])
def test_what_is_no_network_says_so(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_network(text)


def test_ipv6_addresses_of_one_subscriber_count_together() -> None:
    assert subscriber(IPv6Address("2001:db8:0:1::1")) == subscriber(IPv6Address("2001:db8:0:1:ffff::9"))
    assert subscriber(IPv6Address("2001:db8:0:1::1")) != subscriber(IPv6Address("2001:db8:0:2::1"))
    assert subscriber(IPv4Address("192.0.2.1")) == "192.0.2.1"
