"""The checks of a process and the policy over them, as the settings say."""

from __future__ import annotations

from activities.check_threads import CheckThreads
from activities.inspection import Inspector
from customhouse.contracts.errors import ConfigurationError
from customhouse.contracts.governance import Verdict
from customhouse.governance.checks.registry import builtin_checks
from customhouse.governance.policy import Limits, Policy, builtin_policy
from workers.installed_checks import installed_checks
from workers.settings import Settings


def policy_of(settings: Settings) -> Policy:
    return builtin_policy(
        secrets=Verdict(settings.secrets_action),
        pii=Verdict(settings.pii_action),
        limits=Limits(max_prompt_chars=settings.max_prompt_chars),
    )


def inspector_of(settings: Settings) -> Inspector:
    """All checks of this installation, its own ones included, under its policy."""
    policy = policy_of(settings)
    try:
        suite = builtin_checks(policy, more=installed_checks())
    except ValueError as error:
        raise ConfigurationError(f"The checks cannot be used: {error}. Rename one of them.") from error
    return Inspector(suite, policy, CheckThreads())
