"""Who is refused: an organization's block list, laid out for quick look-ups."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from customhouse.contracts.errors import Blocked
from customhouse.contracts.rate_limits import BlockEffect, BlockKind, BlockRule
from customhouse.governance.limits.networks import Address, Network, NetworkMap, parse_network


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of who calls."""

    address: Address | None = None
    key_id: UUID | None = None
    user_id: str | None = None
    agent_id: str | None = None

    def of(self, kind: BlockKind) -> str | None:
        """The caller's id of a kind; None where it has none."""
        if kind is BlockKind.USER:
            return self.user_id
        if kind is BlockKind.AGENT:
            return self.agent_id
        return None if self.key_id is None else str(self.key_id)


class Refusal(NamedTuple):
    """A caller who is not let in."""

    error: Blocked
    rule: BlockRule | None
    """The entry that denies; None for whoever is on no `only` list."""


class _Entries:
    """The entries of one effect."""

    def __init__(self, rules: Iterable[BlockRule]) -> None:
        networks: list[tuple[Network, BlockRule]] = []
        self._by_id: dict[tuple[BlockKind, str], list[tuple[Network | None, BlockRule]]] = {}
        self.by_kind: dict[BlockKind, list[BlockRule]] = {}
        for rule in rules:
            self.by_kind.setdefault(rule.kind, []).append(rule)
            if rule.kind is BlockKind.IP:
                networks.append((parse_network(rule.subject), rule))
            else:
                network = None if rule.network is None else parse_network(rule.network)
                self._by_id.setdefault((rule.kind, rule.subject), []).append((network, rule))
        self._networks = NetworkMap(networks)

    def __bool__(self) -> bool:
        return bool(self.by_kind)

    def matching(self, facts: Facts, now: datetime) -> Iterator[BlockRule]:
        for rule in self._matching(facts):
            if rule.expires_at is None or rule.expires_at > now:
                yield rule

    def _matching(self, facts: Facts) -> Iterator[BlockRule]:
        address = facts.address
        if address is not None:
            yield from self._networks.containing(address)
        if not self._by_id:
            return
        for kind in (BlockKind.KEY, BlockKind.USER, BlockKind.AGENT):
            id_ = facts.of(kind)
            if id_ is None:
                continue
            for network, rule in self._by_id.get((kind, id_), ()):
                if network is None or (address is not None and address in network):
                    yield rule


class BlockList:
    """All entries of one organization, expired ones too: they no longer count."""

    def __init__(self, rules: Iterable[BlockRule] = ()) -> None:
        rules = list(rules)
        self._deny, self._allow, self._only = (
            _Entries(rule for rule in rules if rule.effect is effect) for effect in BlockEffect
        )

    def __bool__(self) -> bool:
        return bool(self._deny or self._allow or self._only)

    def refusal(self, facts: Facts, now: datetime, lists: Collection[BlockKind] = tuple(BlockKind)) -> Refusal | None:
        """Why the caller is refused; None where they are let in.

        `lists`: kinds whose `only` entries are asked. What is not known yet is asked later.
        """
        denied = next(self._deny.matching(facts, now), None)
        if denied is not None and not self.is_allowed(facts, now):
            return Refusal(_denied(denied), denied)
        for kind in lists:
            rules = self._only.by_kind.get(kind, ())
            # A call through Temporal comes from no address that could be on a list.
            if (kind is BlockKind.IP and facts.address is None) or all(_is_over(rule, now) for rule in rules):
                continue
            if not any(rule.kind is kind for rule in self._only.matching(facts, now)):
                return Refusal(_not_listed(kind, facts), None)
        return None

    def is_allowed(self, facts: Facts, now: datetime) -> bool:
        """Whether an `allow` entry keeps the caller from being denied."""
        return next(self._allow.matching(facts, now), None) is not None


def _is_over(rule: BlockRule, now: datetime) -> bool:
    return rule.expires_at is not None and rule.expires_at <= now


def _denied(rule: BlockRule) -> Blocked:
    """The reason is the operators' own, and is not told: the block's id leads them to it."""
    what = "The address" if rule.kind is BlockKind.IP else f"The {rule.kind} {rule.subject!r}"
    until = "" if rule.expires_at is None else f" until {rule.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    why = " after repeated abuse" if rule.automatic else ""
    return Blocked(
        f"{what} that this request comes from is blocked{why}{until}. If that is wrong, ask the organization's "
        f"operators, and name the block {rule.id}."
    )


def _not_listed(kind: BlockKind, facts: Facts) -> Blocked:
    if kind is BlockKind.IP:
        who = f"the address {facts.address}"
    else:
        id_ = facts.of(kind)
        article = "an" if kind is BlockKind.AGENT else "a"
        who = f"a call without {article} {kind}" if id_ is None else f"the {kind} {id_!r}"
    return Blocked(
        f"This organization takes calls only from those on its list, and {who} is not on it. Ask its operators to be "
        "added."
    )
