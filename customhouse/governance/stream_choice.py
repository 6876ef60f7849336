"""One choice of a streamed answer: its texts and tool calls, each held until it may leave."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from customhouse.contracts.chat import Json
from customhouse.governance.held_text import HeldText
from customhouse.governance.passages import NOT_PROSE, TOOL_TEXTS

MakeHeldText = Callable[[str], HeldText]
"""Given the path of a text within the answer."""

_LEGACY = -1
"""Stands for the index of a `function_call`, which came before tool calls and has none."""


@dataclass(slots=True)
class _Call:
    """A tool call on its way: what came of it and has not been released."""

    held: HeldText | None = None
    body: str = "function"
    text_field: str = "arguments"
    head: Json = field(default_factory=dict)
    head_body: Json = field(default_factory=dict)
    ready: str = ""

    def take(self) -> Json:
        """The fragment to release now; empty where there is none."""
        fragment, body = self.head, self.head_body
        if self.ready:
            body = {**body, self.text_field: self.ready}
        self.head, self.head_body, self.ready = {}, {}, ""
        return {**fragment, self.body: body} if body else fragment


class StreamChoice:
    """Splits deltas into texts, tool calls and the rest, and joins again what may leave."""

    def __init__(self, index: int, make: MakeHeldText) -> None:
        self._index = index
        self._make = make
        self._texts: dict[str, HeldText] = {}
        self._calls: dict[int, _Call] = {}
        self._late: list[tuple[str, Any]] = []
        """Structured fields of deltas. They may repeat the text, so they wait until all of it is clear."""
        self._end: Json = {}
        """Fields beside the delta (finish reason, log probabilities), which also hold or follow the text."""

    def feed(self, choice: Json) -> Json | None:
        """What of this choice may leave now; None for nothing. Raises Offending."""
        delta: Json = {}
        for name, value in (choice.get("delta") or {}).items():
            if name == "tool_calls":
                self._feed_calls(value or [])
            elif name == "function_call":
                if isinstance(value, dict):
                    self._feed_call(_LEGACY, {"function": value})
            elif isinstance(value, str) and name not in NOT_PROSE:
                released = self._text(name).add(value) if value else value
                if released or not value:
                    delta[name] = released
            elif value is None or name in NOT_PROSE:
                delta[name] = value
            else:
                self._late.append((name, value))
        for name, value in choice.items():
            if name not in ("index", "delta") and value is not None:
                self._end[name] = _joined(self._end.get(name), value) if name == "logprobs" else value
        delta |= self._released_calls()
        return self._chunk(delta) if delta else None

    def finish(self, *, is_clean: bool) -> Iterator[Json]:
        """All that is left, the finish reason last. Raises Offending.

        `is_clean`: nothing was redacted. Otherwise log probabilities, which spell the text out, stay behind.
        """
        texts = {name: text for name, held in self._texts.items() if (text := held.finish())}
        for call in self._calls.values():
            if call.held is not None:
                call.ready += call.held.finish()
        if texts:
            yield self._chunk(texts)
        if calls := self._released_calls():
            yield self._chunk(calls)
        for name, value in self._late:
            if self._is_clean(name, value):
                yield self._chunk({name: value})
        if not is_clean:
            self._end.pop("logprobs", None)
        if self._end:
            yield {**self._chunk({}), **self._end}

    def _is_clean(self, name: str, value: Any) -> bool:
        """True where the checks have nothing to redact in a structured field, read as one text."""
        text = orjson.dumps(value).decode()
        held = self._make(f"choices.{self._index}.message.{name}")
        return held.add(text) + held.finish() == text

    def _chunk(self, delta: Json) -> Json:
        return {"index": self._index, "delta": delta, "finish_reason": None}

    def _text(self, name: str) -> HeldText:
        held = self._texts.get(name)
        if held is None:
            held = self._texts[name] = self._make(f"choices.{self._index}.message.{name}")
        return held

    def _feed_calls(self, fragments: list[Json]) -> None:
        for position, fragment in enumerate(fragments):
            index = fragment.get("index")
            self._feed_call(index if isinstance(index, int) else position, fragment)

    def _feed_call(self, index: int, fragment: Json) -> None:
        call = self._calls.setdefault(index, _Call())
        for name, text_field in TOOL_TEXTS:
            body = fragment.get(name)
            if isinstance(body, dict):
                call.body, call.text_field = name, text_field
                call.head_body |= {key: value for key, value in body.items() if key != text_field}
                if text := body.get(text_field):
                    if call.held is None:
                        path = "function_call" if index == _LEGACY else f"tool_calls.{index}.{name}"
                        call.held = self._make(f"choices.{self._index}.message.{path}.{text_field}")
                    call.ready += call.held.add(text)
        call.head |= {key: value for key, value in fragment.items() if key not in ("index", "function", "custom")}

    def _released_calls(self) -> Json:
        """Tool calls that may leave: none before all text is out, and each only after the one before it."""
        if not self._calls or any(not held.is_empty for held in self._texts.values()):
            return {}
        released: Json = {}
        for index in sorted(self._calls):
            call = self._calls[index]
            if fragment := call.take():
                if index == _LEGACY:
                    released["function_call"] = fragment["function"]
                else:
                    released.setdefault("tool_calls", []).append({"index": index, **fragment})
            if call.held is not None and not call.held.is_empty:
                break
        return released


def _joined(known: Any, more: Any) -> Any:
    """Log probabilities of several chunks as one: lists of tokens are put end to end."""
    if not (isinstance(known, dict) and isinstance(more, dict)):
        return more
    joined = dict(known)
    for name, value in more.items():
        former = joined.get(name)
        joined[name] = [*former, *value] if isinstance(former, list) and isinstance(value, list) else value
    return joined
