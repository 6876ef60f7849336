"""Five validators that cost next to nothing, so that what is measured is the way to them and back."""

# The library has no types, and gives every validator its metadata.
# mypy: disable-error-code="misc,import-untyped"
# ruff: noqa: ARG002

from __future__ import annotations

from typing import Any

from guardrails.validator_base import FailResult, PassResult, ValidationResult, Validator, register_validator


class _NoWord(Validator):
    word = ""

    def _validate(self, value: Any, metadata: dict[str, Any]) -> ValidationResult:
        return FailResult(error_message="") if self.word in value else PassResult()


@register_validator(name="benchmark/one", data_type="string")
class One(_NoWord):
    word = "<one>"


@register_validator(name="benchmark/two", data_type="string")
class Two(_NoWord):
    word = "<two>"


@register_validator(name="benchmark/three", data_type="string")
class Three(_NoWord):
    word = "<three>"


@register_validator(name="benchmark/four", data_type="string")
class Four(_NoWord):
    word = "<four>"


@register_validator(name="benchmark/five", data_type="string")
class Five(_NoWord):
    word = "<five>"
