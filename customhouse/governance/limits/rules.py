"""Which limits apply to a call, in whole units, and what a caller is told of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from customhouse.contracts.errors import RateLimited
from customhouse.contracts.invocation import Caller
from customhouse.contracts.rate_limits import ANY, LimitMetric, LimitRule, LimitScope
from customhouse.governance.limits.networks import Address, parse_address, parse_network, subscriber
from customhouse.governance.limits.windows import Standing

USD_UNIT = Decimal("1e-9")
"""Dollars are counted in billionths: Valkey's scripts count exactly up to 2^53 of them, nine million dollars."""


class Applied(NamedTuple):
    """A limit that applies to a caller."""

    rule: LimitRule
    limit: int
    """Its amount in whole units."""
    subject: str
    """Whom it counts here, where the rule says `*`."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What one limit counts of one call."""

    organization_id: UUID
    rule: LimitRule
    limit: int
    subject: str
    need: int
    """Units that must have room."""
    take: int
    """Units that are counted at once, if all limits have room."""

    @property
    def window_ms(self) -> int:
        return self.rule.window_s * 1000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call's charges."""

    admitted: bool
    standings: Sequence[Standing]
    """In the order of the charges."""
    at_ms: int
    """By the clock of whoever counts."""


def units(metric: LimitMetric, amount: Decimal) -> int:
    """An amount in the units that are counted: whole requests and tokens, billionths of a dollar."""
    return int(amount / USD_UNIT) if metric is LimitMetric.USD else int(amount)


def address_subject(text: str) -> str:
    """The subject of an `ip` limit: `*`, or the address as it is counted. Raises ValueError for anything else."""
    if text == ANY:
        return text
    address = parse_address(text)
    if address is not None:
        return subscriber(address)
    return subscriber(parse_network(text).network_address)


class Rules:
    """An organization's limits, laid out by whom they apply to."""

    def __init__(self, organization_id: UUID, rules: Iterable[LimitRule]) -> None:
        self._organization_id = organization_id
        self._by_scope: dict[LimitScope, dict[str, list[tuple[LimitRule, int]]]] = {}
        for rule in rules:
            by_subject = self._by_scope.setdefault(rule.scope, {})
            by_subject.setdefault(rule.subject, []).append((rule, units(rule.metric, rule.amount)))
        for by_subject in self._by_scope.values():
            general = by_subject.get(ANY, [])
            for subject, own in by_subject.items():
                if subject != ANY:
                    said = {(rule.metric, rule.window_s) for rule, _ in own}
                    own += [each for each in general if (each[0].metric, each[0].window_s) not in said]

    def __bool__(self) -> bool:
        return bool(self._by_scope)

    def applying(self, caller: Caller, address: Address | None) -> list[Applied]:
        """Each limit that applies, with whom it counts. The more particular goes before `*`."""
        found: list[Applied] = []
        for scope, by_subject in self._by_scope.items():
            subject = self._subject(scope, caller, address)
            if subject is not None:
                rules = by_subject.get(subject)
                if rules is None:
                    rules = by_subject.get(ANY, [])
                found += [Applied(rule, limit, subject) for rule, limit in rules]
        return found

    def charges(self, applying: Sequence[Applied], tokens: int) -> list[Charge]:
        """`tokens`: the most that the call is expected to use. What it costs is counted when it is known."""
        needs = {LimitMetric.REQUESTS: (1, 1), LimitMetric.TOKENS: (tokens, tokens), LimitMetric.USD: (1, 0)}
        return [Charge(self._organization_id, *applied, *needs[applied.rule.metric]) for applied in applying]

    def _subject(self, scope: LimitScope, caller: Caller, address: Address | None) -> str | None:
        match scope:
            case LimitScope.ORGANIZATION:
                return ANY
            case LimitScope.USER:
                return caller.user_id
            case LimitScope.AGENT:
                return caller.agent_id
            case LimitScope.KEY:
                return None if caller.key_id is None else str(caller.key_id)
            case LimitScope.IP:
                return None if address is None else subscriber(address)


def refusal(charges: Sequence[Charge], outcome: Outcome) -> RateLimited:
    """For an outcome that is not admitted: names the limit that keeps the caller waiting longest."""
    full = [pair for pair in zip(charges, outcome.standings, strict=True) if pair[1].retry_ms != 0]
    charge, standing = max(full, key=lambda pair: float("inf") if pair[1].retry_ms is None else pair[1].retry_ms)
    rule, left = charge.rule, _shown(charge.rule.metric, max(0, charge.limit - standing.used))
    limit = f"{_shown(rule.metric, charge.limit)} in {duration(rule.window_s * 1000)} for {_whom(charge)}"
    if standing.retry_ms is None:
        return RateLimited(
            f"The request asks for {_shown(rule.metric, charge.need)} at once, and the limit is {limit}: it can never "
            "pass. Send a shorter prompt or ask for fewer tokens (`max_completion_tokens`)."
        )
    return RateLimited(
        f"The limit of {limit} is reached: {left} left. Try again in {duration(standing.retry_ms)}.",
        retry_after_s=standing.retry_ms / 1000,
    )


def headers(charges: Sequence[Charge], standings: Sequence[Standing]) -> dict[str, str]:
    """The `x-ratelimit-*` headers of OpenAI's API, for the tightest limit on requests and on tokens."""
    found: dict[str, str] = {}
    for metric in (LimitMetric.REQUESTS, LimitMetric.TOKENS):
        of_metric = [
            (max(0, charge.limit - standing.used), -standing.reset_ms, charge.limit)
            for charge, standing in zip(charges, standings, strict=True)
            if charge.rule.metric is metric
        ]
        if of_metric:
            remaining, reset, limit = min(of_metric)
            found[f"x-ratelimit-limit-{metric}"] = str(limit)
            found[f"x-ratelimit-remaining-{metric}"] = str(remaining)
            found[f"x-ratelimit-reset-{metric}"] = duration(-reset)
    return found


def duration(ms: int) -> str:
    """As OpenAI's headers have it: `120ms`, `1s`, `6m0s`, `24h0m0s`; seconds and more are rounded up."""
    if ms < 1000:
        return f"{ms}ms"
    minutes, seconds = divmod(-(-ms // 1000), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{seconds}s"
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"


def _shown(metric: LimitMetric, amount: int) -> str:
    if metric is LimitMetric.USD:
        return f"{(amount * USD_UNIT).normalize():f} USD"
    return f"{amount} {metric.value if amount != 1 else metric.value.removesuffix('s')}"


def _whom(charge: Charge) -> str:
    if charge.rule.scope is LimitScope.ORGANIZATION:
        return "the organization"
    name = "address" if charge.rule.scope is LimitScope.IP else charge.rule.scope.value
    return f"{name} {charge.subject!r}"
