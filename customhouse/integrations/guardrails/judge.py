"""Builds the library's validators and Guards from rules, and lets them judge texts. Runs in a validators' process."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from types import ModuleType
from typing import Any, Protocol

from customhouse.governance.validator_findings import MAX_SPANS, Failed
from customhouse.governance.validators import PACKAGE, OnFail, ValidatorRule
from customhouse.integrations.guardrails.quiet import Offline

_MAX_REASON = 300
"""Characters of an error's own words, which at the start can only speak of the configuration."""

_TERMINAL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|\*{4,}")
"""Colours and rules of stars that some libraries put into their errors."""

_OURS = frozenset({"self", "on_fail", "args", "kwargs"})

_REMOTE = frozenset({"use_local", "validation_endpoint"})
"""Arguments of the base class that lead to the vendor's servers."""


class Unusable(Exception):
    """A rule that nothing can be built from: which of its fields, and what to do."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


class Unit(Protocol):
    """What judges texts by one rule."""

    def judge(self, text: str) -> Failed | None: ...


def build(rule: ValidatorRule, library: ModuleType, offline: Offline) -> Unit:
    """Raises Unusable."""
    attempts = offline.attempts
    field = "validator" if rule.validator else "guard" if rule.guard else "json_schema"
    unit: Unit = _validator_unit(rule, library) if rule.validator is not None else _guard_unit(rule, library)
    try:
        unit.judge(rule.sample)
    except Exception as error:
        mend = "Give it what it lacks, or in `sample` a text that it can judge, or leave the rule out"
        raise Unusable(field, f"it cannot judge a text here: {_why(error)}. {mend}") from error
    if offline.attempts > attempts:
        raise Unusable(field, "it has tried to reach the network, and validators have none. Leave the rule out")
    return unit


class ValidatorUnit:
    """One validator. What it finds is reported; what it would do about it is not done."""

    def __init__(self, validator: Any, rule: ValidatorRule) -> None:
        self._validator = validator
        self._metadata = dict(rule.metadata)
        self._wants_change = rule.on_fail is OnFail.FIX
        self._is_async = _is_async_only(validator)

    def judge(self, text: str) -> Failed | None:
        # Validators write into what they get.
        metadata = deepcopy(self._metadata) if self._metadata else {}
        if self._is_async:
            # A loop for each: one that was made before the process was copied would be shared with its copies.
            result = asyncio.run(self._validator.async_validate(text, metadata))
        else:
            result = self._validator.validate(text, metadata)
        outcome = getattr(result, "outcome", None)
        if outcome == "pass":
            return None
        if outcome != "fail":
            raise TypeError(f"it returned {type(result).__name__}, which is no verdict")
        return Failed(spans=_spans(result), changed=_changed(text, result.fix_value) if self._wants_change else None)


class GuardUnit:
    """A Guard with a schema, validators, or both. It judges one text at a time, and keeps one call of its history.

    A Guard mends before it judges: it turns `"1"` into 1, leaves unknown fields out and takes JSON out of a fence. The
    text goes on as it is, so it passes only where nothing of it was mended.
    """

    def __init__(self, guard: Any) -> None:
        self._guard = guard

    def judge(self, text: str) -> Failed | None:
        try:
            outcome = self._guard.parse(text, num_reasks=0)
            passed = (
                outcome.validation_passed
                and not outcome.validation_summaries
                and (outcome.validated_output == text or _plain(outcome.validated_output) == _plain(json.loads(text)))
            )
        except (ValueError, RecursionError):  # no JSON, or nested deeper than can be read
            passed = False
        return None if passed else Failed()


def _validator_unit(rule: ValidatorRule, library: ModuleType) -> ValidatorUnit:
    name = rule.validator or ""
    cls = _registered(name, rule.module)
    _check_arguments(cls, rule.arguments)
    if missing := [key for key in cls.required_metadata_keys if key not in rule.metadata]:
        raise Unusable("metadata", f"{name} wants {', '.join(missing)} in it; add them")
    try:
        validator = cls(on_fail=library.OnFailAction.NOOP, **rule.arguments)
    except Exception as error:
        raise Unusable("arguments", f"{name} does not take them: {_why(error)}. Mend them") from error
    if validator.use_local is False:
        raise Unusable("validator", f"{name} judges on the vendor's servers, and there is no network. Leave it out")
    return ValidatorUnit(validator, rule)


def _guard_unit(rule: ValidatorRule, library: ModuleType) -> GuardUnit:
    spec = deepcopy(dict(rule.guard)) if rule.guard is not None else {"output_schema": dict(rule.json_schema or {})}
    references = spec.pop("validators", None) or []
    if not isinstance(references, list):
        raise Unusable("guard", "its `validators` are not a list; write it with Guard.to_dict()")
    for reference in references:
        _registered(reference.get("id") if isinstance(reference, dict) else None, rule.module, field="guard")
    try:
        guard = library.Guard(
            output_schema=spec.get("output_schema") or {"type": "string"}, history_max_length=1, use_server=False
        )
        if references:
            loaded = library.Guard.from_dict({**spec, "id": guard.id, "name": rule.name, "validators": references})
            for on, validators in _by_place(loaded, references):
                for validator in validators:
                    validator.on_fail_descriptor = library.OnFailAction.NOOP
                guard.use(*validators, on=on)
    except Exception as error:
        raise Unusable(
            "guard" if rule.guard else "json_schema", f"no Guard can be made of it: {_why(error)}"
        ) from error
    return GuardUnit(guard)


def _by_place(guard: Any, references: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, list[Any]]]:
    for on in dict.fromkeys(str(reference.get("on") or "$") for reference in references):
        yield on, guard.get_validators(on)


def _registered(name: str | None, module: str | None, *, field: str = "validator") -> Any:
    """The validator's class. Imports what registers it; never asks the vendor's hub."""
    registry: Mapping[str, Any] = importlib.import_module("guardrails.validator_base").validators_registry
    if not name:
        raise Unusable(field, "a validator in it has no `id`; write it with Guard.to_dict()")
    short = name.removeprefix("hub://").rsplit("/", 1)[-1]
    wanted = module or f"{PACKAGE}.{short}"
    try:
        importlib.import_module(wanted)
    except ModuleNotFoundError as error:
        if error.name is not None and not f"{wanted}.".startswith(f"{error.name}."):
            raise Unusable(
                field, f"{name} needs the package {error.name}, which is not installed. Install it"
            ) from None
        package = f"guardrails-ai-{short.replace('_', '-')}"
        mend = "Mend `module`" if module else f"Install {package}, or name in `module` what registers it"
        raise Unusable(field, f"{name} is not installed: there is no module {wanted}. {mend}") from None
    except Exception as error:
        raise Unusable("module" if module else field, f"{wanted} cannot be imported: {_why(error)}") from error
    found = registry.get(name.removeprefix("hub://"))
    if found is None:
        near = [known for known in registry if known.rsplit("/", 1)[-1] == short]
        hint = f"it registers {near[0]}" if near else f"known are {', '.join(sorted(registry)) or 'none'}"
        raise Unusable(field, f"{wanted} registers no validator {name}; {hint}")
    return found


def _check_arguments(cls: Any, arguments: Mapping[str, Any]) -> None:
    parameters = {
        name: each
        for name, each in inspect.signature(cls.__init__).parameters.items()
        if name not in _OURS and each.kind is not each.VAR_KEYWORD
    }
    known = ", ".join(parameters) or "none"
    if remote := sorted(_REMOTE & set(arguments)):
        raise Unusable("arguments", f"{remote[0]} leads to a server, and validators have no network. Take it out")
    if unknown := [name for name in arguments if name not in parameters]:
        raise Unusable("arguments", f"there is no argument {unknown[0]}; there are: {known}")
    missing = [name for name, each in parameters.items() if each.default is each.empty and name not in arguments]
    if missing:
        raise Unusable("arguments", f"{', '.join(missing)} must be given; there are: {known}")


def _is_async_only(validator: Any) -> bool:
    """True for a validator that can only be awaited: its coroutine alone is no verdict."""
    cls, base = type(validator), importlib.import_module("guardrails.validator_base").Validator
    own = _own(cls, base)
    if any(inspect.iscoroutinefunction(getattr(cls, name)) for name in ("validate", "_validate")):
        raise Unusable("validator", "its `validate` is a coroutine; call it `async_validate`")
    return "async_validate" in own and not own & {"validate", "_validate"}


def _own(cls: Any, base: Any) -> frozenset[str]:
    """What the class does not leave to the library."""
    return frozenset(name for each in cls.__mro__ if each not in base.__mro__ for name in vars(each))


def _spans(result: Any) -> list[tuple[int, int]]:
    """One more than are listed tells that there are too many."""
    return [(int(span.start), int(span.end)) for span in (result.error_spans or [])[: MAX_SPANS + 1]]


def _changed(text: str, fixed: Any) -> tuple[int, int] | None:
    """What of the text the corrected one no longer has: between what both begin and what both end with."""
    if not isinstance(fixed, str) or fixed == text:
        return None
    shorter = min(len(text), len(fixed))
    start = next((place for place in range(shorter) if text[place] != fixed[place]), shorter)
    ending = next((count for count in range(shorter - start) if text[-1 - count] != fixed[-1 - count]), shorter - start)
    return start, len(text) - ending


def _plain(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _why(error: BaseException) -> str:
    words = " ".join(_TERMINAL.sub("", str(error)).split())[:_MAX_REASON]
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
