"""The policy: what is done about a finding. A typed, immutable document with a version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from customhouse.contracts.governance import Direction, Finding, Verdict

DEFAULT_MAX_PROMPT_CHARS = 1_000_000
"""About 250,000 tokens: more than most models read, and far less than what a body may hold."""


DEFAULT_ABUSE_THRESHOLD = 0.9
"""The model's probabilities are calibrated for abuse and benign prompts in equal numbers. Real traffic has far less of
it, so that at 0.5 most of what was blocked would be harmless."""


class Limits(BaseModel):
    """Bounds on a request."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_prompt_chars: Annotated[int, Field(gt=0)] = DEFAULT_MAX_PROMPT_CHARS
    max_prompt_tokens: Annotated[int, Field(gt=0)] | None = None
    """Estimated tokens; None: the deployment's context window is the only bound."""


class OnFailure(StrEnum):
    """What it means that a check failed or was late."""

    OPEN = "open"
    """The text passes."""
    CLOSED = "closed"
    """The text is blocked."""
    REVIEW = "review"
    """A person decides."""


class When(StrEnum):
    """When the thorough look of a tiered check is taken."""

    BEFORE = "before"
    """Before the provider is called."""
    ALONGSIDE = "alongside"
    """While the provider answers. Nothing is let out before its verdict; one that blocks cancels the call."""


class Threshold(BaseModel):
    """Scores at or above which a finding leads to a verdict; below both it is let pass."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    review: Annotated[float, Field(gt=0, le=1)] | None = None
    block: Annotated[float, Field(gt=0, le=1)] | None = None

    def verdict(self, score: float) -> Verdict:
        if self.block is not None and score >= self.block:
            return Verdict.BLOCK
        return Verdict.REVIEW if self.review is not None and score >= self.review else Verdict.ALLOW


class CheckRule(BaseModel):
    """How one check is run, and what its scores and its failures mean."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = True
    when: When = When.BEFORE
    deadline_ms: Annotated[float, Field(gt=0, le=60_000)] = 5_000
    """Of a look that is taken in a thread."""
    on_failure: OnFailure = OnFailure.CLOSED
    thresholds: Mapping[str, Threshold] = {}
    """By kind of finding, `*` for all others. Kinds without one follow the policy's actions."""


ALWAYS_BEFORE = frozenset({"secrets", "pii", "prompt_length"})
"""What these find must not reach the provider at all."""

_ON_FAILURE = {OnFailure.OPEN: Verdict.ALLOW, OnFailure.CLOSED: Verdict.BLOCK, OnFailure.REVIEW: Verdict.REVIEW}


class Policy(BaseModel):
    """Actions by direction and by check (`pii`) or kind of finding (`pii.email`); the more specific one wins.

    What comes from tools and documents is dealt with as the caller's own text where the policy does not name it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Annotated[str, Field(min_length=1, max_length=128)]
    actions: Mapping[Direction, Mapping[str, Verdict]]
    otherwise: Verdict = Verdict.BLOCK
    """For findings of a check that the policy does not name: a new check is not silently ignored."""
    checks: Mapping[str, CheckRule] = {}
    """By name of the check; a check that is not named has the default rule."""
    limits: Limits = Limits()
    restore: bool = False
    """Whether placeholders for what was redacted in the request are replaced by it again in the answer."""
    max_repairs: Annotated[int, Field(ge=0, le=5)] = 1
    """How often the model is asked again when its answer misses the schema that the caller gave."""
    hold_stream: bool = False
    """Hold a streamed answer back until it is whole and checked, instead of releasing it piece by piece."""

    @model_validator(mode="after")
    def _nothing_leaks(self) -> Self:
        late = [name for name in sorted(ALWAYS_BEFORE) if self.rule(name).when is When.ALONGSIDE]
        if late:
            raise ValueError(f"checks.{late[0]}.when must be 'before': what it finds must not reach a provider")
        return self

    def rule(self, check: str) -> CheckRule:
        return self.checks.get(check, _DEFAULT_RULE)

    def action(self, finding: Finding) -> Verdict:
        """What this policy does about this finding."""
        rule = self.rule(finding.check)
        if finding.is_failure:
            return _ON_FAILURE[rule.on_failure]
        if threshold := rule.thresholds.get(finding.kind) or rule.thresholds.get("*"):
            return threshold.verdict(finding.score)
        by_name = self.actions.get(finding.direction) or self.actions.get(finding.direction.side) or {}
        return by_name.get(f"{finding.check}.{finding.kind}") or by_name.get(finding.check) or self.otherwise


_DEFAULT_RULE = CheckRule()


def builtin_policy(
    *,
    secrets: Verdict = Verdict.BLOCK,
    pii: Verdict = Verdict.REDACT,
    limits: Limits | None = None,
    restore: bool = False,
    abuse_threshold: float = DEFAULT_ABUSE_THRESHOLD,
    abuse_when: When = When.ALONGSIDE,
    disabled: Iterable[str] = (),
) -> Policy:
    """The policy that holds where no other is published. Settings that differ from the default show in its version."""
    limits = limits or Limits()
    changed = [
        f"secrets-{secrets}" if secrets is not Verdict.BLOCK else "",
        f"pii-{pii}" if pii is not Verdict.REDACT else "",
        f"chars-{limits.max_prompt_chars}" if limits.max_prompt_chars != DEFAULT_MAX_PROMPT_CHARS else "",
        f"tokens-{limits.max_prompt_tokens}" if limits.max_prompt_tokens is not None else "",
        "restore" if restore else "",
        f"abuse-{abuse_threshold:g}" if abuse_threshold != DEFAULT_ABUSE_THRESHOLD else "",
        f"abuse-{abuse_when}" if abuse_when is not When.ALONGSIDE else "",
        *(f"no-{name}" for name in sorted(disabled)),
    ]
    return Policy(
        version="+".join(["builtin-1", *filter(None, changed)]),
        actions={
            Direction.INPUT: {
                "secrets": secrets,
                "pii": pii,
                "prompt_length": Verdict.BLOCK,
                "similarity": Verdict.BLOCK,
                "similarity.campaign": Verdict.ALLOW,  # it raises an alert: many may well ask the same
            },
            Direction.OUTPUT: {
                "secrets": secrets,
                "pii": pii,
                "json_schema": Verdict.BLOCK,
                # The caller's own token limit cut it off, and `finish_reason` says so, as at OpenAI.
                "json_schema.truncated": Verdict.ALLOW,
            },
        },
        checks={
            "abuse": CheckRule(when=abuse_when, thresholds={"*": Threshold(block=abuse_threshold)}),
            "similarity": CheckRule(on_failure=OnFailure.OPEN),  # a busy database is no reason to refuse a prompt
            **{name: CheckRule(enabled=False) for name in disabled},
        },
        limits=limits,
        restore=restore,
    )


DEFAULT_POLICY = builtin_policy()
