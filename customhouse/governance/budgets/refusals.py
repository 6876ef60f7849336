"""What a caller is told when a budget has no room: which one, what is left of it, and when it begins anew."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from customhouse.contracts.budgets import BudgetPeriodKind, BudgetScope, Shortage
from customhouse.contracts.errors import BudgetExceeded, BudgetPriceUnknown, BudgetReserved
from customhouse.contracts.money import plain

RETRY_AFTER_S = 2.0
"""Where calls in flight hold the room: as soon as one of them settles, what it did not need is free."""

_ORDER = {"spent": 0, "unpriced": 1, "reserved": 2}
"""What cannot be waited out comes first."""


def refusal(shortages: Sequence[Shortage], deployment_id: str) -> BudgetExceeded:
    """The error for a call that `shortages`, at least one, have no room for."""
    worst = min(shortages, key=lambda each: _ORDER[each.kind])
    more = f" ({len(shortages) - 1} more budgets have no room either)" if len(shortages) > 1 else ""
    if worst.kind == "unpriced":
        return BudgetPriceUnknown(
            f"{describe(worst)} is hard, and no price is known for {deployment_id}, so nothing can be held against "
            "it. Give the deployment a `price` in the catalog, or set the budget's `unpriced` to `allow`."
        )
    left = worst.amount_usd - worst.used_usd
    if worst.kind == "spent":
        return BudgetExceeded(
            f"{describe(worst)} has {_shown(left)} of {_shown(worst.amount_usd)} left, and this call may cost up to "
            f"{_shown(worst.needed_usd)}{more}. {_resets(worst)} Ask for fewer tokens (max_tokens), wait, or have "
            "the budget raised."
        )
    return BudgetReserved(
        f"{describe(worst)} has {_shown(left)} of {_shown(worst.amount_usd)} left, of which calls in flight hold "
        f"{_shown(worst.reserved_usd)}, and this call may cost up to {_shown(worst.needed_usd)}{more}. Try again in "
        f"{RETRY_AFTER_S:g} s, when some of them have ended. {_resets(worst)}",
        retry_after_s=RETRY_AFTER_S,
    )


def describe(shortage: Shortage) -> str:
    """Such as: The budget 'team' (agent support-bot, month 2026-11)."""
    whose = (
        "the organization"
        if shortage.scope is BudgetScope.ORGANIZATION
        else f"{_word(shortage.scope)} {shortage.subject}"
    )
    when = "this run" if shortage.period is BudgetPeriodKind.RUN else f"{shortage.period} {shortage.current}"
    return f"The budget {shortage.name!r} ({whose}, {when})"


def _word(scope: BudgetScope) -> str:
    return "run" if scope is BudgetScope.WORKFLOW_EXECUTION else scope.value


def _resets(shortage: Shortage) -> str:
    if shortage.resets_at is None:
        return "It does not begin anew."
    return f"It begins anew at {shortage.resets_at:%Y-%m-%dT%H:%M:%SZ}."


def _shown(usd: Decimal | None) -> str:
    return f"{plain(max(usd or Decimal(0), Decimal(0)))} USD"
