"""Validators of a company's own, good and bad. Imported in the processes of validators only."""

# The library has no types, and gives every validator its metadata.
# mypy: disable-error-code="misc,import-untyped"
# ruff: noqa: ARG002

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import socket
import time
from typing import Any

from guardrails.validator_base import (
    ErrorSpan,
    FailResult,
    PassResult,
    ValidationResult,
    Validator,
    register_validator,
)


@register_validator(name="own/no_word", data_type="string")
class NoWord(Validator):
    """Fails on every place where the word stands."""

    def __init__(self, word: str, on_fail: Any = None) -> None:
        super().__init__(on_fail=on_fail, word=word)
        self._word = word

    def _validate(self, value: Any, metadata: dict[str, Any]) -> ValidationResult:
        found = [match.span() for match in re.finditer(re.escape(self._word), value)]
        if not found:
            return PassResult()
        return FailResult(
            error_message=f"{value} has {self._word}",
            fix_value=value.replace(self._word, ""),
            error_spans=[ErrorSpan(start=start, end=end, reason=value) for start, end in found],
        )


@register_validator(name="own/no_tail", data_type="string")
class NoTail(Validator):
    """Corrects a text without saying where."""

    def __init__(self, tail: str, on_fail: Any = None) -> None:
        super().__init__(on_fail=on_fail, tail=tail)
        self._tail = tail

    def _validate(self, value: Any, metadata: dict[str, Any]) -> ValidationResult:
        if not value.endswith(self._tail):
            return PassResult()
        return FailResult(error_message=value, fix_value=value.removesuffix(self._tail))


@register_validator(name="own/polite", data_type="string")
class Polite(Validator):
    """Can only be awaited, and wants something in its metadata."""

    required_metadata_keys = ["please"]  # noqa: RUF012 - as the library has it

    async def async_validate(self, value: Any, metadata: dict[str, Any]) -> ValidationResult:
        await asyncio.sleep(0)
        word = metadata.pop("please")  # a second text must find it again
        return PassResult() if word in value else FailResult(error_message=value)


@register_validator(name="own/remembers", data_type="string")
class Remembers(Validator):
    """Keeps what it was asked last, as those do that gather a stream in themselves, and takes its time in between."""

    def _validate(self, value: Any, metadata: dict[str, Any]) -> ValidationResult:
        self.accumulated_chunks = [value]
        time.sleep(0.002)
        return FailResult(error_message=value) if "bad" in self.accumulated_chunks[0] else PassResult()


@register_validator(name="own/backtracks", data_type="string")
class Backtracks(Validator):
    """Hangs on `hang…!`, inside the regular expression engine, which holds the interpreter."""

    def _validate(self, value: Any, metadata: dict[str, Any]) -> ValidationResult:
        return FailResult(error_message="") if re.fullmatch(r"hang(a+)+", value) else PassResult()


@register_validator(name="own/raises", data_type="string")
class Raises(Validator):
    def _validate(self, value: Any, metadata: dict[str, Any]) -> ValidationResult:
        if "raise" in value:
            raise LookupError(value)
        return PassResult()


@register_validator(name="own/dies", data_type="string")
class Dies(Validator):
    """Takes the process down with it, as a fault in a C library does."""

    def _validate(self, value: Any, metadata: dict[str, Any]) -> ValidationResult:
        if "die" in value:
            ctypes.string_at(0)
        return PassResult()


@register_validator(name="own/asks_around", data_type="string")
class AsksAround(Validator):
    """Tries the network, swallows what comes of it, and passes everything."""

    def __init__(self, at_once: bool = False, on_fail: Any = None) -> None:
        super().__init__(on_fail=on_fail, at_once=at_once)
        if at_once:
            self._ask()

    def _ask(self) -> None:
        try:
            socket.create_connection(("127.0.0.1", 9), timeout=1).close()
        except OSError:
            return

    def _validate(self, value: Any, metadata: dict[str, Any]) -> ValidationResult:
        if "ask" in value:
            self._ask()
        return PassResult()


@register_validator(name="own/no_verdict", data_type="string")
class NoVerdict(Validator):
    def _validate(self, value: Any, metadata: dict[str, Any]) -> Any:
        return None


@register_validator(name="own/coroutine", data_type="string")
class Coroutine(Validator):
    async def _validate(self, value: Any, metadata: dict[str, Any]) -> Any:
        return PassResult()


@register_validator(name="own/sees_keys", data_type="string")
class SeesKeys(Validator):
    """Fails where a variable of the environment holds the text."""

    def _validate(self, value: Any, metadata: dict[str, Any]) -> ValidationResult:
        return FailResult(error_message="") if value in os.environ.values() else PassResult()
