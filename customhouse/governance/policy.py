"""The policy: what is done about a finding. A typed, immutable document with a version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from customhouse.contracts.governance import Direction, Finding, Verdict

DEFAULT_MAX_PROMPT_CHARS = 1_000_000
"""About 250,000 tokens: more than most models read, and far less than what a body may hold."""


class Limits(BaseModel):
    """Bounds on a request."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_prompt_chars: Annotated[int, Field(gt=0)] = DEFAULT_MAX_PROMPT_CHARS
    max_prompt_tokens: Annotated[int, Field(gt=0)] | None = None
    """Estimated tokens; None: the deployment's context window is the only bound."""


class Policy(BaseModel):
    """Actions by direction and by check (`pii`) or kind of finding (`pii.email`); the more specific one wins."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Annotated[str, Field(min_length=1, max_length=128)]
    actions: Mapping[Direction, Mapping[str, Verdict]]
    otherwise: Verdict = Verdict.BLOCK
    """For findings of a check that the policy does not name: a new check is not silently ignored."""
    limits: Limits = Limits()
    max_repairs: Annotated[int, Field(ge=0, le=5)] = 1
    """How often the model is asked again when its answer misses the schema that the caller gave."""
    hold_stream: bool = False
    """Hold a streamed answer back until it is whole and checked, instead of releasing it piece by piece."""

    def action(self, finding: Finding) -> Verdict:
        """What this policy does about this finding."""
        by_name = self.actions.get(finding.direction, {})
        return by_name.get(f"{finding.check}.{finding.kind}") or by_name.get(finding.check) or self.otherwise


def builtin_policy(
    *,
    secrets: Verdict = Verdict.BLOCK,
    pii: Verdict = Verdict.REDACT,
    limits: Limits | None = None,
) -> Policy:
    """The policy that holds where no other is published. Settings that differ from the default show in its version."""
    limits = limits or Limits()
    changed = [
        f"secrets-{secrets}" if secrets is not Verdict.BLOCK else "",
        f"pii-{pii}" if pii is not Verdict.REDACT else "",
        f"chars-{limits.max_prompt_chars}" if limits.max_prompt_chars != DEFAULT_MAX_PROMPT_CHARS else "",
        f"tokens-{limits.max_prompt_tokens}" if limits.max_prompt_tokens is not None else "",
    ]
    return Policy(
        version="+".join(["builtin-1", *filter(None, changed)]),
        actions={
            Direction.INPUT: {"secrets": secrets, "pii": pii, "prompt_length": Verdict.BLOCK},
            Direction.OUTPUT: {
                "secrets": secrets,
                "pii": pii,
                "json_schema": Verdict.BLOCK,
                # The caller's own token limit cut it off, and `finish_reason` says so, as at OpenAI.
                "json_schema.truncated": Verdict.ALLOW,
            },
        },
        limits=limits,
    )


DEFAULT_POLICY = builtin_policy()
