"""How severe one thing is beside another."""

from __future__ import annotations

from collections.abc import Iterable

from customhouse.contracts.governance import Severity

_ORDER = {severity: rank for rank, severity in enumerate(Severity)}


def at_least(severity: Severity, minimum: Severity) -> bool:
    return _ORDER[severity] >= _ORDER[minimum]


def severest(severities: Iterable[Severity]) -> Severity:
    """Of one or more."""
    return max(severities, key=_ORDER.__getitem__)
