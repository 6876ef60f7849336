"""Addresses and networks: read from text, and looked up among many. IPv4-mapped IPv6 is IPv4 throughout."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Generic, TypeVar

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

T = TypeVar("T")

_MAPPED = IPv6Network("::ffff:0:0/96")

IPV6_SUBSCRIBER_BITS = 64
"""One subscriber has at least this network (RFC 6177), so its single addresses tell nobody apart."""


def parse_address(text: str) -> Address | None:
    """An address as headers and sockets have it: with brackets, port or zone, or without. None for anything else."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def parse_network(text: str) -> Network:
    """An address or CIDR; bits beyond the prefix are dropped. Raises ValueError that says what was wrong."""
    network = ip_network(text.strip(), strict=False)
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED.prefixlen and network.subnet_of(_MAPPED):
        mapped = network.network_address.ipv4_mapped
        return ip_network((int(mapped or 0), network.prefixlen - _MAPPED.prefixlen))
    return network


def subscriber(address: Address) -> str:
    """The address as limits and counters name it: an IPv4 address, or an IPv6 network of 64 bits."""
    if isinstance(address, IPv4Address):
        return str(address)
    return str(ip_network((int(address), IPV6_SUBSCRIBER_BITS), strict=False))


class NetworkMap(Generic[T]):
    """Values by network. A look-up costs one dictionary access for each prefix length that occurs."""

    def __init__(self, entries: Iterable[tuple[Network, T]] = ()) -> None:
        self._by_length: dict[int, dict[int, dict[int, list[T]]]] = {4: {}, 6: {}}
        for network, value in entries:
            lengths = self._by_length[network.version]
            shift = network.max_prefixlen - network.prefixlen
            prefix = int(network.network_address) >> shift
            lengths.setdefault(shift, {}).setdefault(prefix, []).append(value)

    def __bool__(self) -> bool:
        return any(self._by_length.values())

    def containing(self, address: Address) -> Iterator[T]:
        """The values of all networks that hold the address."""
        number = int(address)
        for shift, prefixes in self._by_length[address.version].items():
            yield from prefixes.get(number >> shift, ())
