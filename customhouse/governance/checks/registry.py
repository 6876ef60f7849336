"""The checks that ship with the product."""

from __future__ import annotations

from customhouse.governance.checks.pii import PiiCheck
from customhouse.governance.checks.prompt_length import PromptLengthCheck
from customhouse.governance.checks.secrets import SecretsCheck
from customhouse.governance.checks.suite import CheckSuite
from customhouse.governance.policy import Policy


def builtin_checks(policy: Policy) -> CheckSuite:
    """Compile the built-in checks for a policy. Takes some 0.1 s: once a process, not once a call."""
    return CheckSuite([PromptLengthCheck(policy.limits), SecretsCheck(), PiiCheck()])
