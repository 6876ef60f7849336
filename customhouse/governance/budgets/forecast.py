"""Where a period is heading: what it will have used at its end, if it goes on as it has until now."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

MIN_ELAPSED = timedelta(minutes=15)
"""Earlier, one call would foretell a fortune."""


def forecast(used_usd: Decimal, starts_at: datetime | None, ends_at: datetime | None, now: datetime) -> Decimal | None:
    """USD at the period's end, by a straight line from its start; None for a run, whose end is not known, and in the
    first 15 minutes.
    """
    if starts_at is None or ends_at is None or now - starts_at < MIN_ELAPSED:
        return None
    if now >= ends_at:
        return used_usd
    share = Decimal((ends_at - starts_at) / (now - starts_at))
    return (used_usd * share).quantize(Decimal("0.000001"))
