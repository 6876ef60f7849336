"""The checks of a process and the policy over them, as the settings say."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from activities.check_threads import CheckThreads
from activities.inspection import Inspector
from customhouse.contracts.errors import ConfigurationError
from customhouse.contracts.governance import Verdict
from customhouse.governance.abuse.detector import AbuseDetector
from customhouse.governance.checks.abuse import AbuseCheck
from customhouse.governance.checks.pii import PiiCheck
from customhouse.governance.checks.registry import builtin_checks
from customhouse.governance.checks.secrets import SecretsCheck
from customhouse.governance.checks.suite import AnyCheck
from customhouse.governance.policy import Limits, Policy, When, builtin_policy
from customhouse.governance.validators import with_rules
from customhouse.integrations.guardrails.check import GuardrailsCheck
from customhouse.integrations.guardrails.settings import read_rules
from workers.installed_checks import installed_checks
from workers.settings import Settings

SIMILARITY = "similarity"
"""Not a check on texts alone, since it asks Postgres; it is switched off by the same setting."""


def inspector_of(settings: Settings, environ: Mapping[str, str]) -> Inspector:
    """All checks of this installation, its own ones included, under its policy. Takes some 0.5 s, or 20 s with
    GuardrailsAI's validators; `close_checks` ends what they run in.
    """
    installed = installed_checks()
    names = {PiiCheck.name, SecretsCheck.name, AbuseCheck.name, SIMILARITY, *(check.name for check in installed)}
    policy = _policy(settings, _disabled(settings, names))
    more: list[AnyCheck] = [*installed]
    rules = None
    if settings.guardrails is not None:
        found = read_rules(settings.guardrails)
        rules, policy = found.settings, with_rules(policy, found.settings)
        more.append(GuardrailsCheck.load(found, environ))
    if policy.rule(AbuseCheck.name).enabled:
        more.append(AbuseCheck(AbuseDetector.load()))
    try:
        suite = builtin_checks(policy, more)
    except ValueError as error:
        raise ConfigurationError(f"The checks cannot be used: {error}. Rename one of them.") from error
    return Inspector(suite, policy, CheckThreads(), rules)


def close_checks(inspector: Inspector) -> None:
    for check in inspector.suite:
        if isinstance(check, GuardrailsCheck):
            check.close()


def _disabled(settings: Settings, names: Collection[str]) -> set[str]:
    wanted = {name.strip() for name in settings.disabled_checks.split(",") if name.strip()}
    if "*" in wanted:
        return set(names)
    if unknown := wanted - set(names):
        raise ConfigurationError(
            f"CUSTOMHOUSE_DISABLED_CHECKS names {', '.join(sorted(unknown))}, and there are {', '.join(sorted(names))}."
        )
    return wanted


def _policy(settings: Settings, disabled: Collection[str]) -> Policy:
    if settings.pii_restore and settings.encryption_key is None:
        raise ConfigurationError(
            "CUSTOMHOUSE_PII_RESTORE keeps what was redacted, and so needs CUSTOMHOUSE_ENCRYPTION_KEY to encrypt it."
        )
    return builtin_policy(
        secrets=Verdict(settings.secrets_action),
        pii=Verdict(settings.pii_action),
        limits=Limits(max_prompt_chars=settings.max_prompt_chars),
        restore=settings.pii_restore,
        abuse_threshold=settings.abuse_threshold,
        abuse_when=When(settings.abuse_when),
        disabled=disabled,
    )
