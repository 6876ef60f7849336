"""Rate limits of one call: admitted before it begins, settled when it is known what it used."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from cachetools import TTLCache

from activities.refusal_journal import Refusal, RefusalJournal
from activities.rule_book import RuleBook
from customhouse.contracts.chat import Usage
from customhouse.contracts.invocation import Caller
from customhouse.contracts.rate_limits import LimitMetric, LimitRule
from customhouse.governance.limits.networks import parse_address
from customhouse.governance.limits.rules import Charge, Rules, headers, refusal, units
from customhouse.integrations.rate_limits import Windows

log = logging.getLogger(__name__)

_MOST_HELD = 10_000
_HELD_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Admission:
    """A call that its limits let through, and what was counted for it."""

    headers: Mapping[str, str] = field(default_factory=dict)
    """`x-ratelimit-*`, for its answer."""
    charges: Sequence[Charge] = ()
    """Those that are to be corrected when usage and cost are known."""
    at_ms: int = 0


NO_LIMITS = Admission()


class Limiter:
    """Asks the windows of all limits that apply to a caller. With none set it costs a dictionary access."""

    def __init__(self, rules: RuleBook[LimitRule, Rules], windows: Windows, journal: RefusalJournal) -> None:
        self._rules = rules
        self._windows = windows
        self._journal = journal
        self._held: TTLCache[UUID, Admission] = TTLCache(_MOST_HELD, _HELD_S)

    async def admit(self, caller: Caller, tokens: int | Callable[[], int], ip: str | None = None) -> Admission:
        """Count a call by all limits that apply, or by none.

        `tokens`: its prompt's, estimated, and as many as the answer may have; a function is called only where tokens
        are limited. `ip`: the caller's address, where the caller does not bear it. Raises RateLimited, with the pause
        after which it can be tried again, or NotReady where limits cannot be counted and must be.
        """
        rules = self._rules.of(caller.organization_id)
        if rules is None:
            return NO_LIMITS
        address = ip or caller.ip
        applying = rules.applying(caller, None if address is None else parse_address(address))
        if not applying:
            return NO_LIMITS
        expected = 0
        if any(applied.rule.metric is LimitMetric.TOKENS for applied in applying):
            expected = tokens if isinstance(tokens, int) else tokens()
        charges = rules.charges(applying, expected)
        outcome = await self._windows.take(charges)
        shown = headers(charges, outcome.standings)
        if not outcome.admitted:
            error = refusal(charges, outcome)
            error.headers = shown
            for charge, standing in zip(charges, outcome.standings, strict=True):
                if standing.retry_ms != 0:
                    self._journal.note(_refused(charge, caller))
            raise error
        later = [charge for charge in charges if charge.rule.metric is not LimitMetric.REQUESTS]
        return Admission(shown, later, outcome.at_ms)

    async def settle(self, admission: Admission, usage: Usage | None, usd: Decimal | None) -> None:
        """Correct what was counted, once it is known: `usage` None for a call that used nothing. An unknown cost
        counts nothing.
        """
        if not admission.charges:
            return
        used = 0 if usage is None else usage.total_tokens
        differences: list[tuple[Charge, int]] = []
        for charge in admission.charges:
            truth = used if charge.rule.metric is LimitMetric.TOKENS else units(LimitMetric.USD, usd or Decimal(0))
            if truth != charge.take:
                differences.append((charge, truth - charge.take))
        if differences:
            await self._windows.settle(differences, admission.at_ms)

    def hold(self, invocation_id: UUID, admission: Admission) -> None:
        """Keep it until `settle_held`: for a step that does not see the call's end."""
        if admission.charges:
            self._held[invocation_id] = admission

    async def settle_held(self, invocation_id: UUID, usage: Usage | None, usd: Decimal | None) -> None:
        """As `settle`, for an admission that was held in this process; nothing where there is none."""
        admission = self._held.pop(invocation_id, None)
        if admission is not None:
            await self.settle(admission, usage, usd)


def _refused(charge: Charge, caller: Caller) -> Refusal:
    rule = charge.rule
    return Refusal(
        charge.organization_id,
        "rate_limited",
        f"{rule.scope}:{charge.subject}",
        f"{rule.amount.normalize():f} {rule.metric} in {rule.window_s} s",
        caller.user_id if rule.scope == "user" else None,
    )
