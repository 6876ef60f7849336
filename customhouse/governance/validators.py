"""Rules that GuardrailsAI's validators follow here: which ones look at what, and what it means that one fails.

The library judges and Customhouse decides: a validator never rewrites a text, raises through a call or asks a model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from customhouse.contracts.errors import UnprocessableField
from customhouse.contracts.governance import CheckFailure, Direction, Finding, Severity, Verdict
from customhouse.governance.checks.base import Passage
from customhouse.governance.json_schema import SafeSchema
from customhouse.governance.policy import Policy

CHECK = "guardrails"
"""Name of the check, as findings and policies have it; the kind of a finding is its rule's name."""

PACKAGE = "guardrails_ai"
"""Where the validators that PyPI has as `guardrails-ai-*` are imported from."""

MAX_RULES = 50

_SHORT_ARGUMENT = (bool, int, float)
"""Arguments that the model may be told of. Texts may be what it must not say."""


class OnFail(StrEnum):
    """What a failed validator leads to, in the library's words. `custom`, which is code, has no place in a file."""

    EXCEPTION = "exception"
    NOOP = "noop"
    FIX = "fix"
    REASK = "reask"
    FIX_REASK = "fix_reask"
    FILTER = "filter"
    REFRAIN = "refrain"


_MEANING: Mapping[OnFail, tuple[Verdict, Severity]] = {
    OnFail.EXCEPTION: (Verdict.BLOCK, Severity.HIGH),
    OnFail.REFRAIN: (Verdict.BLOCK, Severity.HIGH),
    OnFail.REASK: (Verdict.BLOCK, Severity.HIGH),
    OnFail.FIX_REASK: (Verdict.BLOCK, Severity.HIGH),
    OnFail.FIX: (Verdict.REDACT, Severity.MEDIUM),
    OnFail.FILTER: (Verdict.REDACT, Severity.MEDIUM),
    OnFail.NOOP: (Verdict.ALLOW, Severity.INFO),
}

_REASKING = frozenset({OnFail.REASK, OnFail.FIX_REASK})

_STREAMING = frozenset({OnFail.EXCEPTION, OnFail.NOOP, OnFail.FIX})
"""What can be done about one sentence of an answer whose beginning has left."""

_Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


class ValidatorRule(BaseModel):
    """One validator, or a Guard's JSON schema, or a whole Guard."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    validator: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """The name that it is registered by, such as `guardrails/valid_length`."""
    json_schema: Mapping[str, Any] | None = None
    """A text must be JSON that satisfies it (Draft 2020-12)."""
    guard: Mapping[str, Any] | None = None
    """A Guard as `Guard.to_dict()` writes it. Its validators' own `on_fail` do not count; this rule's does."""
    name: _Name = ""
    """Kind of its findings. Default: the last part of `validator`, `json_schema`, or `guard`."""
    module: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*$")] | None = None
    """What to import so that the validator is registered. Default: the package that PyPI has it in."""
    arguments: Mapping[str, Any] = {}
    metadata: Mapping[str, Any] = {}
    """What the validator gets beside each text."""
    directions: tuple[Direction, ...] = (Direction.OUTPUT,)
    on_fail: OnFail = OnFail.EXCEPTION
    texts: Literal["content", "all"] = "content"
    """`content`: what messages say. `all`: tool calls' arguments and every other text, too."""
    roles: tuple[str, ...] = ("user",)
    """Whose messages are looked at in a request."""
    streams: bool = False
    """Looks at sentence by sentence, so that a streamed answer need not be held to its end."""
    sample: Annotated[str, Field(max_length=10_000)] = "This is a sentence that says nothing in particular."
    """Judged once at the start, so that what a validator lacks is found then. Some can judge no prose: give another."""
    instruction: Annotated[str, Field(max_length=1000)] | None = None
    """What a model is told when it is asked again."""

    @model_validator(mode="before")
    @classmethod
    def _named(cls, data: Any) -> Any:
        if isinstance(data, dict) and not data.get("name"):
            return {**data, "name": _default_name(data)}
        return data

    @field_validator("json_schema")
    @classmethod
    def _harmless(cls, schema: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        _check_schema(schema)
        return schema

    @field_validator("guard")
    @classmethod
    def _harmless_guard(cls, guard: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        _check_schema((guard or {}).get("output_schema"))
        return guard

    @field_validator("name")
    @classmethod
    def _not_ours(cls, name: str) -> str:
        if name in ("too_many", *CheckFailure):
            raise ValueError(f"{name} is a kind that every check has; choose another name")
        return name

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if sum(each is not None for each in (self.validator, self.json_schema, self.guard)) != 1:
            raise ValueError("name exactly one of `validator`, `json_schema` and `guard`")
        if not self.directions:
            raise ValueError("`directions` is empty; name input, tool_result or output")
        if self.on_fail in _REASKING and self.directions != (Direction.OUTPUT,):
            raise ValueError(f"`on_fail: {self.on_fail}` asks a model again, so `directions` can only be [output]")
        if self.validator is None and self.arguments:
            raise ValueError("`arguments` belong to a `validator`")
        if self.streams:
            if self.directions != (Direction.OUTPUT,) or self.validator is None:
                raise ValueError("`streams` is for a `validator` whose `directions` are [output]")
            if self.on_fail not in _STREAMING:
                raise ValueError(f"`on_fail: {self.on_fail}` needs the whole answer; leave `streams` out")
        return self

    def looks_at(self, passage: Passage, direction: Direction) -> bool:
        """True where this rule is for that text. Names of fields are nobody's prose."""
        if direction not in self.directions or passage.is_name:
            return False
        if direction is Direction.INPUT and passage.role not in self.roles:
            return False
        return self.texts == "all" or _is_content(passage.path)

    @property
    def severity(self) -> Severity:
        return _MEANING[self.on_fail][1]

    @property
    def title(self) -> str:
        """For people."""
        return self.validator or self.name

    def complaint(self) -> str:
        """What to tell a model whose answer failed."""
        if self.instruction:
            return self.instruction
        told = [f"{name} {value}" for name, value in self.arguments.items() if isinstance(value, _SHORT_ARGUMENT)]
        return f"It must satisfy {self.name.replace('_', ' ')}" + (f" ({', '.join(told)})." if told else ".")


class GuardrailsSettings(BaseModel):
    """All rules of an installation, and what they may cost."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: Annotated[tuple[ValidatorRule, ...], Field(min_length=1, max_length=MAX_RULES)]
    deadline_ms: Annotated[float, Field(ge=10, le=60_000)] = 1_000
    """For one text and all rules together, waiting for a process included."""
    processes: Annotated[int, Field(ge=1, le=16)] = 1
    """Texts that are looked at at the same time."""
    environment: Mapping[str, str] = {}
    """Variables that validators get, such as NLTK_DATA. They see no others of ours: those hold keys."""

    @model_validator(mode="after")
    def _unique(self) -> Self:
        twice = [name for name, count in Counter(rule.name for rule in self.rules).items() if count > 1]
        if twice:
            raise ValueError(f"two rules are named {twice[0]}; give one another `name`")
        return self

    @property
    def directions(self) -> frozenset[Direction]:
        return frozenset(direction for rule in self.rules for direction in rule.directions)

    @property
    def holds_streams(self) -> bool:
        """True where a rule must see an answer whole before any of it may leave."""
        return any(Direction.OUTPUT in rule.directions and not rule.streams for rule in self.rules)

    @property
    def digest(self) -> str:
        """Eight characters that differ where the rules do."""
        return sha256(self.model_dump_json().encode()).hexdigest()[:8]

    def actions(self) -> dict[Direction, dict[str, Verdict]]:
        """What a policy does about the findings, as its `actions` have it; a policy may say otherwise."""
        return {
            direction: {
                f"{CHECK}.{rule.name}": _MEANING[rule.on_fail][0] for rule in self.rules if direction in rule.directions
            }
            for direction in self.directions
        }

    def asks_again(self, findings: Iterable[Finding]) -> bool:
        """True where every finding is of a rule that wants the model asked again, and there is one."""
        reasking = {rule.name for rule in self.rules if rule.on_fail in _REASKING}
        kinds = {(finding.check, finding.kind) for finding in findings}
        return bool(kinds) and all(check == CHECK and kind in reasking for check, kind in kinds)

    def complaint_of(self, findings: Iterable[Finding]) -> str:
        """What to tell the model when it is asked again."""
        failed = {finding.kind for finding in findings if finding.check == CHECK}
        reasons = "\n".join(f"- {rule.complaint()}" for rule in self.rules if rule.name in failed)
        return f"Your answer does not meet what is asked of it:\n{reasons}\nAnswer again, in full."


def with_rules(policy: Policy, settings: GuardrailsSettings) -> Policy:
    """The policy, which also says what the rules' findings lead to; where it names one itself, that holds.

    Its version says which rules they are.
    """
    actions = dict(policy.actions)
    for direction, named in settings.actions().items():
        # What a policy does not name for tool results is dealt with as input; that must stay so.
        standing = policy.actions.get(direction) or policy.actions.get(direction.side) or {}
        actions[direction] = {**named, **standing}
    version = f"{policy.version}+{CHECK}-{settings.digest}"
    return policy.model_copy(update={"actions": actions, "version": version})


def _is_content(path: str) -> bool:
    """True for `messages.0.content`, `choices.0.message.content` and their parts."""
    steps = path.split(".")
    return "content" in steps and steps[0] in ("messages", "choices")


def _default_name(data: Mapping[str, Any]) -> str:
    validator = data.get("validator")
    if isinstance(validator, str):
        return validator.rsplit("/", 1)[-1].replace("-", "_").lower()
    return "guard" if data.get("guard") is not None else "json_schema"


def _check_schema(schema: Any) -> None:
    if schema is None:
        return
    try:
        SafeSchema(schema, "json_schema")
    except UnprocessableField as error:
        where = f" (at {error.param})" if error.param != "json_schema" else ""
        raise ValueError(f"{error.message}{where}") from None
