"""One stream of text that is let out piece by piece: never before it is certain what the checks say of it."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable

from customhouse.contracts.governance import Finding
from customhouse.governance.redaction import Placeholders, is_json_text, redact_text
from customhouse.governance.text.characters import BREAKS, INVISIBLE, INVISIBLE_ASTRAL, MARKS, SURROGATES

_BREAK = re.compile(f"[ \\t\\n\\r\\f{BREAKS}]")
"""Where text may be cut: before ASCII white space, a CJK character or an emoji. See `Check.window`."""

_UNSEEN = re.compile(f"[{INVISIBLE}{INVISIBLE_ASTRAL}{SURROGATES}{MARKS}]+")
"""What normalization may leave out, or join to the character before it: it does not count for a window."""

Inspect = Callable[[str], list[Finding]]
"""All output checks over one text; spans count from its beginning."""


class Offending(Exception):
    """The text that would be let out next holds findings that the policy does not let out."""

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__("held text is offending")
        self.findings = findings


class HeldText:
    """Text in, governed text out.

    Let out is what lies before a break that is within no finding, and that at least `window` characters follow, not
    counting those that nobody sees. By the contract of `Check.window` no finding can then begin before the break and
    end in text that has not come yet, and none before it can change. The rest is inspected again from the break on, so
    the whole costs linear time.
    """

    def __init__(
        self,
        path: str,
        window: int,
        inspect: Inspect,
        is_stopping: Callable[[Finding], bool],
        is_redacting: Callable[[Finding], bool],
        placeholders: Placeholders,
    ) -> None:
        self._window = window
        self._inspect = inspect
        self._is_stopping = is_stopping
        self._is_redacting = is_redacting
        self._placeholders = placeholders
        self._is_json = is_json_text(path)
        self._pieces: list[str] = []
        self._length = 0
        self._breaks: list[int] = []
        """Places where the held text may be cut, from left to right."""
        self._seen = 0
        """Visible characters that have come so far."""
        self._seen_before: list[int] = []
        """How many of them came before each of the breaks."""
        self._tried = 0
        """Breaks up to here have been tried with all the text that could change the outcome."""

    @property
    def is_empty(self) -> bool:
        return self._length == 0

    def add(self, text: str) -> str:
        """Take the next piece; returns what may be let out now. Raises Offending where a finding forbids it."""
        self._note_breaks(text)
        self._pieces.append(text)
        self._length += len(text)
        candidates = bisect_right(self._seen_before, self._seen - self._window)
        if candidates <= self._tried or self._breaks[candidates - 1] == 0:
            return ""
        self._tried = candidates
        held = self._join()
        findings = self._inspect(held)
        cut = self._cut(candidates, findings)
        return self._let_out(held, cut, findings) if cut else ""

    def finish(self) -> str:
        """Let out all that is still held. Raises Offending where a finding forbids it."""
        held = self._join()
        return self._let_out(held, len(held), self._inspect(held)) if held else ""

    def _note_breaks(self, text: str) -> None:
        position = 0
        for match in _BREAK.finditer(text):
            self._seen += _visible(text[position : match.start()])
            position = match.start()
            self._breaks.append(self._length + position)
            self._seen_before.append(self._seen)
        self._seen += _visible(text[position:])

    def _join(self) -> str:
        held = "".join(self._pieces)
        self._pieces = [held]
        return held

    def _cut(self, candidates: int, findings: list[Finding]) -> int:
        """The last of the first `candidates` breaks that lies within no finding; 0 where there is none."""
        spans = sorted(((f.span.start, f.span.end) for f in findings if f.span is not None), reverse=True)
        position = candidates - 1
        cut = self._breaks[position]
        for start, end in _merged(spans):
            if start < cut < end:
                position = bisect_right(self._breaks, start) - 1
                if position < 0:
                    return 0
                cut = self._breaks[position]
        return cut

    def _let_out(self, held: str, cut: int, findings: list[Finding]) -> str:
        ready = [f for f in findings if f.span is None or f.span.end <= cut]
        if offending := [finding for finding in ready if self._is_stopping(finding)]:
            raise Offending(offending)
        self._pieces = [held[cut:]] if cut < len(held) else []
        self._length = len(held) - cut
        past = bisect_right(self._breaks, cut - 1)
        self._breaks = [place - cut for place in self._breaks[past:]]
        self._seen_before = self._seen_before[past:]
        self._tried = 0
        redacted = [finding for finding in ready if finding.span is not None and self._is_redacting(finding)]
        return redact_text(held[:cut], redacted, self._placeholders, is_json=self._is_json)


def _visible(text: str) -> int:
    return len(text) if text.isascii() and text.isprintable() else len(_UNSEEN.sub("", text))


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Overlapping spans as one; both from right to left."""
    merged: list[tuple[int, int]] = []
    for start, end in spans:
        if merged and end > merged[-1][0]:
            merged[-1] = (min(start, merged[-1][0]), max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
