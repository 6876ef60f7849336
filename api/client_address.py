"""The address that a request comes from: the socket's, or what trusted proxies say of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from starlette.types import Scope

from customhouse.governance.limits.networks import Address, Network, NetworkMap, parse_address

_FORWARDED_FOR = b"x-forwarded-for"


class ClientAddresses:
    """Believes `X-Forwarded-For` as far as it was written by trusted proxies.

    Each proxy appends the address that it was called from. So the header is read from its end: the first address there
    that is no trusted proxy's is the client's, and what stands before it is the client's own word. RFC 7239's
    `Forwarded` is not read: a proxy that sets only one of the two passes the other on as the client sent it.
    """

    def __init__(self, trusted: Sequence[Network] = ()) -> None:
        self._trusted = NetworkMap((network, True) for network in trusted)

    def of(self, scope: Scope) -> Address | None:
        """None where the server knows none, as on a Unix socket."""
        client = scope.get("client")
        peer = None if client is None else parse_address(client[0])
        if peer is None or not self._trusted or not self._is_trusted(peer):
            return peer
        for hop in _from_the_end(value for name, value in scope["headers"] if name == _FORWARDED_FOR):
            address = parse_address(hop)
            if address is None:
                return peer  # a trusted proxy that writes `unknown` knows of none
            peer = address
            if not self._is_trusted(address):
                break
        return peer

    def _is_trusted(self, address: Address) -> bool:
        return next(self._trusted.containing(address), False)


def _from_the_end(values: Iterable[bytes]) -> Iterator[str]:
    """The hops of all such headers together, the last one first, as far as they are asked for."""
    text = b",".join(values).decode("latin-1")
    while text:
        text, _, hop = text.rpartition(",")
        if hop := hop.strip():
            yield hop
