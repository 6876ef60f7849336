"""A company's own checks, found by the entry points of the packages that are installed beside the product."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from customhouse.contracts.errors import ConfigurationError
from customhouse.contracts.governance import Direction
from customhouse.governance.checks.base import Cost, Need
from customhouse.governance.checks.suite import AnyCheck

GROUP = "customhouse.checks"
"""Entry point group: each entry names a class that is made without arguments, or a function that returns a check."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")

_LOOKS = (("inspect", "window"), ("inspect_all",), ("glance", "study"))
"""What a check has besides its description: one of these sets (`customhouse/governance/checks/base.py`)."""


def installed_checks(found: Iterable[EntryPoint] | None = None) -> list[AnyCheck]:
    """Loads them all. Raises ConfigurationError, naming the package and the entry, for one that cannot be used: a check
    that somebody relies on must not be missing in silence.
    """
    entries = entry_points(group=GROUP) if found is None else found
    return [_load(entry) for entry in sorted(entries, key=lambda entry: entry.name)]


def _load(entry: EntryPoint) -> AnyCheck:
    package = entry.dist.name if entry.dist is not None else "an unnamed package"
    where = f"The check {entry.name!r} of {package} ({entry.value})"
    try:
        check: Any = entry.load()()
    except Exception as error:
        raise ConfigurationError(
            f"{where} cannot be made: {type(error).__name__}: {error}. Mend the package, or uninstall it."
        ) from error
    if faults := list(_faults(check)):
        raise ConfigurationError(f"{where} is not a check: {'; '.join(faults)}. See docs/guides/checks.md.")
    loaded: AnyCheck = check
    return loaded


def _faults(check: Any) -> Iterable[str]:
    if not (isinstance(getattr(check, "name", None), str) and _NAME.fullmatch(check.name)):
        yield "name must be lower-case letters, digits and underscores, and begin with a letter"
    if not (isinstance(getattr(check, "version", None), str) and check.version):
        yield "version must be a text"
    for attribute, kind in (("directions", Direction), ("needs", Need)):
        value = getattr(check, attribute, None)
        if not isinstance(value, frozenset) or not all(isinstance(each, kind) for each in value):
            yield f"{attribute} must be a frozenset of {kind.__name__}"
    if not getattr(check, "directions", None):
        yield "directions must name one at least"
    if not isinstance(getattr(check, "cost", None), Cost):
        yield "cost must be Cost.LIGHT or Cost.HEAVY"
    if not any(all(hasattr(check, each) for each in look) for look in _LOOKS):
        yield "it has none of: inspect with window, inspect_all, glance with study"
