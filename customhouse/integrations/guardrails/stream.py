"""Validators on a streamed answer: each sentence is judged as soon as it is complete, and not let out before."""

from __future__ import annotations

from collections.abc import Sequence

from customhouse.contracts.governance import Direction, Finding
from customhouse.integrations.guardrails.jury import Jury, Piece
from customhouse.integrations.guardrails.sentences import next_end


class SentenceStream:
    """One text of one answer. It has its own state, so streams at the same time do not meet.

    Blocks while a sentence is judged, never longer than the rules' deadline.
    """

    def __init__(self, jury: Jury, rules: Sequence[int], path: str) -> None:
        self._jury = jury
        self._rules = list(rules)
        self._path = path
        self._held = ""
        self._judged = 0

    @property
    def judged(self) -> int:
        """Characters from the text's beginning that have been judged. What lies beyond must not leave yet."""
        return self._judged

    def add(self, text: str) -> list[Finding]:
        """The next piece of the text; returns what is found in the sentences that it completes. Spans count from the
        text's beginning."""
        self._held += text
        pieces: list[Piece] = []
        start = 0
        while (end := next_end(self._held, start)) is not None:
            pieces.append(Piece(self._held[start:end], self._judged + start))
            start = end
        self._held = self._held[start:]
        return self._judge(pieces)

    def finish(self) -> list[Finding]:
        """There is no more: what is left is the last sentence."""
        pieces = [Piece(self._held, self._judged)] if self._held else []
        self._held = ""
        return self._judge(pieces)

    def _judge(self, pieces: Sequence[Piece]) -> list[Finding]:
        self._judged += sum(len(piece.text) for piece in pieces)
        said = [piece for piece in pieces if not piece.text.isspace()]
        if not said:
            return []
        everything = list(range(len(said)))
        return self._jury.judge(self._path, Direction.OUTPUT, said, [(rule, everything) for rule in self._rules])
