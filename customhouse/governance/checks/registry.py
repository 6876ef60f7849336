"""The checks of a process: those that ship with the product, and more that it is given."""

from __future__ import annotations

from collections.abc import Iterable

from customhouse.governance.checks.pii import PiiCheck
from customhouse.governance.checks.prompt_length import PromptLengthCheck
from customhouse.governance.checks.secrets import SecretsCheck
from customhouse.governance.checks.suite import AnyCheck, CheckSuite
from customhouse.governance.policy import Policy


def builtin_checks(policy: Policy, more: Iterable[AnyCheck] = ()) -> CheckSuite:
    """The checks that this policy has not switched off. Takes some 0.1 s: once a process, not once a call.

    ValueError where two have the same name, for the policy could not tell them apart.
    """
    checks = [PromptLengthCheck(policy.limits), SecretsCheck(), PiiCheck(), *more]
    names = [check.name for check in checks]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"there are two checks of the name {twice!r}")
    return CheckSuite(check for check in checks if policy.rule(check.name).enabled)
