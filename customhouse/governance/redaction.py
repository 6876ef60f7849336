"""Redaction: the spans of findings are replaced by typed, numbered placeholders such as `<EMAIL_1>`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from customhouse.contracts.chat import ChatCompletion, ChatRequest, Json
from customhouse.contracts.governance import Finding
from customhouse.governance.checks.base import Passage
from customhouse.governance.passages import answer_passages, request_passages, rewrite

_JSON_TEXTS = (".arguments",)
"""Passages that are JSON inside a string: a cut through an escape sequence would make them unreadable."""

_BOUNDED = ("user", "metadata.")
"""Fields whose length is limited: a placeholder that is longer than what it replaces may not break the limit."""


class Placeholders:
    """Gives each value of one request or answer its number: the same value, the same placeholder."""

    def __init__(self) -> None:
        self._numbers: dict[str, dict[str, int]] = {}

    def name(self, kind: str, value: str) -> str:
        """`<EMAIL_1>` for the first e-mail address, `<EMAIL_2>` for the next one that differs."""
        numbers = self._numbers.setdefault(kind, {})
        return _placeholder(kind, numbers.setdefault(value, len(numbers) + 1))

    def originals(self) -> dict[str, str]:
        """Placeholder → the value that it stands for."""
        return {
            _placeholder(kind, number): value
            for kind, numbers in self._numbers.items()
            for value, number in numbers.items()
        }


def _placeholder(kind: str, number: int) -> str:
    return f"<{kind.upper()}_{number}>"


def redact_text(text: str, findings: Iterable[Finding], placeholders: Placeholders, *, is_json: bool = False) -> str:
    """The text with the findings' spans replaced. Overlapping spans are one, named by the first and longest."""
    pieces: list[str] = []
    end = 0
    for start, stop, kind in merged_spans(text, findings, is_json=is_json):
        pieces += (text[end:start], placeholders.name(kind, text[start:stop]))
        end = stop
    return "".join([*pieces, text[end:]])


def merged_spans(text: str, findings: Iterable[Finding], *, is_json: bool = False) -> list[tuple[int, int, str]]:
    """Start, end and kind of the disjoint stretches that the findings cover, in order."""
    merged: list[tuple[int, int, str]] = []
    for start, stop, kind in sorted(
        ((f.span.start, f.span.end, f.kind) for f in findings if f.span is not None),
        key=lambda span: (span[0], -span[1], span[2]),
    ):
        if is_json:
            start, stop = _whole_escapes(text, start, stop)
        if merged and start < merged[-1][1]:
            first, end, name = merged[-1]
            merged[-1] = (first, max(end, stop), name)
        else:
            merged.append((start, stop, kind))
    return merged


def is_json_text(path: str) -> bool:
    """True where the passage at this path is itself JSON (a tool call's arguments)."""
    return path.endswith(_JSON_TEXTS)


def redact_request(
    request: ChatRequest, findings: Sequence[Finding], placeholders: Placeholders | None = None
) -> ChatRequest:
    """The request as the provider may see it. The request itself where there is nothing to redact.

    `placeholders`, where given, is told what was replaced.
    """
    if not findings:
        return request
    document = request.wire()
    _redact(document, request_passages(request), findings, placeholders or Placeholders())
    return ChatRequest.model_validate(document)


def redact_answer(
    answer: ChatCompletion, findings: Sequence[Finding], *, placeholders: Placeholders | None = None
) -> ChatCompletion:
    """The answer as the caller may see it. The answer itself where there is nothing to redact.

    `placeholders` goes on with numbers that a stream has given already. Log probabilities of a redacted choice are
    left out: they spell its text.
    """
    if not findings:
        return answer
    document = answer.model_dump(mode="json")
    redacted = _redact(document, answer_passages(answer), findings, placeholders or Placeholders())
    for index, choice in enumerate(document["choices"]):
        if "logprobs" in choice and any(path.startswith(f"choices.{index}.") for path in redacted):
            choice["logprobs"] = None
    return ChatCompletion.model_validate(document)


def _redact(
    document: Json, passages: Iterable[Passage], findings: Iterable[Finding], placeholders: Placeholders
) -> list[str]:
    """Rewrites the document in place; returns the paths that it has changed."""
    by_path: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.span is not None:
            by_path.setdefault(finding.span.path, []).append(finding)
    redacted: list[str] = []
    for passage in passages:
        if (found := by_path.get(passage.path)) and not passage.is_name:
            text = redact_text(passage.text, found, placeholders, is_json=is_json_text(passage.path))
            if passage.path.startswith(_BOUNDED):
                text = text[: len(passage.text)]
            rewrite(document, passage.path, text)
            redacted.append(passage.path)
    return redacted


def _whole_escapes(text: str, start: int, stop: int) -> tuple[int, int]:
    """Widen a span that begins or ends within a JSON escape: `\\nbob@…` matched from the `n` on, say."""
    if _odd_backslashes_before(text, start):
        start -= 1
    if _odd_backslashes_before(text, stop):
        stop += 1
    return start, stop


def _odd_backslashes_before(text: str, position: int) -> bool:
    count = 0
    while count < position and text[position - count - 1] == "\\":
        count += 1
    return count % 2 == 1
