"""Puts a stream's chunks together into the whole answer that they are the parts of."""

from __future__ import annotations

from typing import Any

from customhouse.contracts.chat import ChatCompletion, Json, Usage

_OF_THE_CHUNK = frozenset({"object", "choices", "usage", "obfuscation", "error"})
"""Keys of a chunk that the whole answer does not take over as they are."""


class AnswerBuilder:
    """`add` each chunk in order, then `build`."""

    def __init__(self) -> None:
        self._head: Json = {}
        self._choices: dict[int, _ChoiceBuilder] = {}
        self._usage: Usage | None = None

    def add(self, chunk: Json) -> None:
        for key, value in chunk.items():
            if value is not None and key not in _OF_THE_CHUNK:
                self._head.setdefault(key, value)
        if (usage := usage_of(chunk.get("usage"))) is not None:
            self._usage = usage
        for choice in chunk.get("choices") or ():
            index = choice.get("index") or 0
            builder = self._choices.get(index)
            if builder is None:
                builder = self._choices[index] = _ChoiceBuilder(index)
            builder.add(choice)

    @property
    def lacking(self) -> str | None:
        """What a whole answer would have that these chunks have not given; None if they are whole."""
        if not self._choices:
            return "any choice"
        open_choices = ", ".join(str(index) for index in self.open_choices)
        return f"a finish_reason for choice {open_choices}" if open_choices else None

    @property
    def open_choices(self) -> list[int]:
        """Choices that have begun and not finished."""
        return [choice.index for choice in self._choices.values() if choice.finish_reason is None]

    def build(self, defaults: Json | None = None) -> ChatCompletion:
        """The whole answer. `defaults` stand in for what no chunk had, such as an id."""
        choices = [self._choices[index].build() for index in sorted(self._choices)]
        whole = {**(defaults or {}), **self._head, "object": "chat.completion", "choices": choices}
        return ChatCompletion.model_validate(whole if self._usage is None else {**whole, "usage": self._usage})


class _ChoiceBuilder:
    def __init__(self, index: int) -> None:
        self.index = index
        self.finish_reason: str | None = None
        self._texts: dict[str, list[str]] = {}  # joined once at the end: adding up long answers would be quadratic
        self._others: Json = {}
        self._calls: dict[int, _CallBuilder] = {}
        self._logprobs: dict[str, list[Any]] = {}

    def add(self, choice: Json) -> None:
        for key, value in (choice.get("delta") or {}).items():
            if value is None or key == "role":
                continue
            if isinstance(value, str):
                self._texts.setdefault(key, []).append(value)
            elif key == "tool_calls":
                for call in value:
                    self._call(call).add(call)
            else:
                self._others[key] = _merged(self._others.get(key), value)
        for key, tokens in (choice.get("logprobs") or {}).items():
            if tokens:
                self._logprobs.setdefault(key, []).extend(tokens)
        if choice.get("finish_reason"):
            self.finish_reason = choice["finish_reason"]

    def build(self) -> Json:
        message: Json = {"role": "assistant", "content": None, **self._others}
        message.update({key: "".join(pieces) for key, pieces in self._texts.items()})
        if self._calls:
            message["tool_calls"] = [self._calls[index].build() for index in sorted(self._calls)]
            message["content"] = message["content"] or None
        choice: Json = {"index": self.index, "message": message, "finish_reason": self.finish_reason}
        if self._logprobs:
            choice["logprobs"] = {"content": None, "refusal": None, **self._logprobs}
        return choice

    def _call(self, delta: Json) -> _CallBuilder:
        index = delta.get("index")
        if index is None:  # some servers leave it out: an id begins a new call, else the last one goes on
            index = len(self._calls) if delta.get("id") else max(len(self._calls) - 1, 0)
        builder = self._calls.get(index)
        if builder is None:
            builder = self._calls[index] = _CallBuilder()
        return builder


class _CallBuilder:
    """One tool call: a `function` with `arguments`, or a `custom` tool with `input`."""

    def __init__(self) -> None:
        self._fields: Json = {}
        self._parts: dict[str, tuple[Json, list[str]]] = {}

    def add(self, delta: Json) -> None:
        for key, value in delta.items():
            if key == "index" or value is None:
                continue
            text_key = {"function": "arguments", "custom": "input"}.get(key)
            if text_key is None:
                self._fields.setdefault(key, value)
                continue
            fields, pieces = self._parts.setdefault(key, ({}, []))
            for name, item in value.items():
                if name == text_key:
                    pieces.append(item or "")
                elif item:  # some servers repeat the name in every chunk, so it is taken once and not added up
                    fields.setdefault(name, item)

    def build(self) -> Json:
        call = {"type": "custom" if "custom" in self._parts else "function", **self._fields}
        for key, (fields, pieces) in self._parts.items():
            call[key] = {**fields, "arguments" if key == "function" else "input": "".join(pieces)}
        return call


def _merged(old: Any, new: Any) -> Any:
    """Fields that we have no own rule for (audio, annotations, …): texts and lists go on, objects merge."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{k: v if k == "id" else _merged(old.get(k), v) for k, v in new.items() if v is not None}}
    if isinstance(old, list) and isinstance(new, list):
        return [*old, *new]
    if isinstance(old, str) and isinstance(new, str):
        return old + new
    return new


def usage_of(usage: Any) -> Usage | None:
    """The usage that a provider gave, or None where it gave none or no numbers: unknown is not zero.

    The one place that reads it. What is no count is left out: an answer that was paid for is not lost over its bill.
    """
    if not isinstance(usage, dict):
        return None
    prompt, answer = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    if prompt is None or answer is None:
        return None
    details = {name: _counts(usage[name]) for name in _DETAILS if name in usage}
    total = _count(usage.get("total_tokens")) or prompt + answer
    counts = {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": total}
    return Usage.model_validate({**usage, **details, **counts})


_DETAILS = ("prompt_tokens_details", "completion_tokens_details")

_MOST_TOKENS = 2**31 - 1
"""No call has more. A larger number is no count, and sums of such might not fit where they are stored."""


def _count(value: Any) -> int | None:
    """Some servers write counts as floats. NaN is in no range."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST_TOKENS:
        return None
    return int(value) if value == int(value) else None


def _counts(details: Any) -> Json | None:
    """The counts among them: prices hang on some, so nothing else may stand there."""
    if not isinstance(details, dict):
        return None
    return {name: counted for name, value in details.items() if (counted := _count(value)) is not None}
