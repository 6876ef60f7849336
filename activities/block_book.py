"""Who is refused: the block lists of all organizations, as they stand."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from activities.refusal_journal import Refusal, RefusalJournal
from activities.rule_book import RuleBook
from customhouse.contracts.invocation import Caller
from customhouse.contracts.rate_limits import BlockKind, BlockRule
from customhouse.governance.limits.blocks import BlockList, Facts
from customhouse.governance.limits.networks import Address, parse_address
from customhouse.storage.clock import utc_now


class BlockBook:
    """Raises Blocked for whoever is refused. Never waits; with no entries it costs a dictionary access.

    The entries of the installation's own organization that name an address hold for everyone, before a key is looked
    at; all others hold for the calls of their own organization.
    """

    def __init__(
        self, rules: RuleBook[BlockRule, BlockList], journal: RefusalJournal, own_organization_id: UUID
    ) -> None:
        self._rules = rules
        self._journal = journal
        self._own = own_organization_id

    def check_address(self, address: Address | None) -> None:
        """Before anything else is known."""
        if address is not None:
            self._check(self._own, Facts(address), ())

    def check_key(self, organization_id: UUID, key_id: UUID, address: Address | None) -> None:
        """Once the key is known."""
        self._check(organization_id, Facts(address, key_id), (BlockKind.IP, BlockKind.KEY))

    def check_caller(self, caller: Caller) -> None:
        """Once all is known."""
        if self._rules.of(caller.organization_id) is not None:
            self._check(caller.organization_id, facts_of(caller), tuple(BlockKind))

    def is_allowed(self, caller: Caller) -> bool:
        """Whether an `allow` entry keeps the caller from being blocked automatically."""
        rules = self._rules.of(caller.organization_id)
        return rules is not None and rules.is_allowed(facts_of(caller), utc_now())

    def _check(self, organization_id: UUID, facts: Facts, lists: Sequence[BlockKind]) -> None:
        rules = self._rules.of(organization_id)
        if rules is None:
            return
        refusal = rules.refusal(facts, utc_now(), lists)
        if refusal is not None:
            rule = "not on the list" if refusal.rule is None else f"block {refusal.rule.id}"
            self._journal.note(Refusal(organization_id, "caller_blocked", _subject(facts), rule, facts.user_id))
            raise refusal.error


def facts_of(caller: Caller) -> Facts:
    address = None if caller.ip is None else parse_address(caller.ip)
    return Facts(address, caller.key_id, caller.user_id, caller.agent_id)


def _subject(facts: Facts) -> str:
    if facts.user_id is not None:
        return f"user:{facts.user_id}"
    if facts.key_id is not None:
        return f"key:{facts.key_id}"
    return f"ip:{facts.address}"
