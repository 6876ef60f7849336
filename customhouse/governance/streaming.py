"""Governs a stream of `chat.completion.chunk`s: what leaves has been checked, and what offends never leaves."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from customhouse.contracts.chat import ChatCompletion, Json
from customhouse.contracts.governance import Direction, Finding, Verdict
from customhouse.governance.checks.base import Passage
from customhouse.governance.checks.suite import CheckSuite
from customhouse.governance.held_text import HeldText, Offending
from customhouse.governance.passages import answer_passages
from customhouse.governance.policy import Policy
from customhouse.governance.redaction import Placeholders, redact_answer
from customhouse.governance.stream_choice import StreamChoice
from customhouse.governance.verdict import action_for, decide, to_redact

_STOPPING = frozenset({Verdict.REVIEW, Verdict.BLOCK})
"""Nothing more may leave on these."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What the whole answer came to."""

    chunks: list[Json]
    """The rest of the stream: empty where the verdict is `review` or `block`."""
    verdict: Verdict
    findings: list[Finding]
    answer: ChatCompletion
    """With redactions applied, numbered as in the chunks that have left."""


class StreamGovernor:
    """One streamed answer. Chunks go in, governed chunks come out, several pieces of text joined in one.

    Order: within a choice, text is released in its own order, a tool call only after all text before it, and the
    finish reason, log probabilities and usage at the end. Texts of different fields (`content`,
    `reasoning_content`) do not wait for one another.
    """

    def __init__(
        self,
        suite: CheckSuite,
        policy: Policy,
        *,
        hold_all: bool = False,
        placeholders: Placeholders | None = None,
    ) -> None:
        """`hold_all`: release nothing before the end, for answers that only count as a whole (a JSON schema).
        `placeholders`: those of the request, which the answer's go on from, so that none stands for two values.
        """
        self._suite = suite
        self._policy = policy
        self._window = sys.maxsize if hold_all or policy.hold_stream else suite.window(Direction.OUTPUT)
        self._placeholders = placeholders or Placeholders()
        self._choices: dict[int, StreamChoice] = {}
        self._base: Json = {}
        self._usage: Json | None = None
        self._offence: list[Finding] = []

    @property
    def is_stopped(self) -> bool:
        """True once a finding forbids to release more: the provider's call may be ended, or read on in silence."""
        return bool(self._offence)

    @property
    def offence(self) -> list[Finding]:
        """What stopped the stream; spans count within the piece that was held then."""
        return list(self._offence)

    def feed(self, chunk: Json) -> list[Json]:
        """The next chunk from the provider; returns what the caller may see now: no chunk, or one."""
        if self._offence:
            return []
        choices = chunk.get("choices") or []
        self._base = {key: value for key, value in chunk.items() if key not in ("choices", "usage")}
        if usage := chunk.get("usage"):
            self._usage = usage
        if not choices:
            # Nothing that a model wrote: a provider's notes on the prompt, say.
            return [] if usage else [chunk]
        released: list[Json] = []
        try:
            for choice in choices:
                governed = self._choice(int(choice.get("index") or 0)).feed(choice)
                if governed is not None:
                    released.append(governed)
        except Offending as offending:
            self._offence = offending.findings
        return [{**self._base, "choices": released}] if released else []

    def finish(self, answer: ChatCompletion, extra: Sequence[Finding] = ()) -> Finished:
        """The provider is done: inspect the whole answer, for its verdict is the one recorded, and let out the rest.

        `extra` are findings of checks that only see whole answers, such as the JSON schema's.
        """
        findings = [*self._suite.inspect(answer_passages(answer), Direction.OUTPUT), *extra]
        chunks: list[Json] = []
        if not self._offence and self._verdict(findings) not in _STOPPING:
            try:
                chunks = list(self._rest(is_clean=self._verdict(findings) is Verdict.ALLOW))
            except Offending as offending:
                self._offence = offending.findings
        if self._offence and self._verdict(findings) not in _STOPPING:
            # A check saw in a piece what it does not see in the whole: what stopped the stream stands.
            findings.extend(self._offence)
        return Finished(
            chunks=chunks,
            verdict=self._verdict(findings),
            findings=findings,
            answer=redact_answer(
                answer, to_redact(findings, self._policy, Direction.OUTPUT), placeholders=self._placeholders
            ),
        )

    def _verdict(self, findings: list[Finding]) -> Verdict:
        return decide(findings, self._policy, Direction.OUTPUT)

    def _rest(self, *, is_clean: bool) -> Iterator[Json]:
        for index in sorted(self._choices):
            for choice in self._choices[index].finish(is_clean=is_clean):
                yield {**self._base, "choices": [choice]}
        if self._usage is not None:
            yield {**self._base, "choices": [], "usage": self._usage}

    def _choice(self, index: int) -> StreamChoice:
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = StreamChoice(index, self._held_text)
        return choice

    def _held_text(self, path: str) -> HeldText:
        def inspect(text: str) -> list[Finding]:
            return self._suite.inspect([Passage(path, text, "assistant")], Direction.OUTPUT)

        return HeldText(
            path,
            self._window,
            inspect,
            is_stopping=lambda finding: action_for(finding, self._policy) in _STOPPING,
            is_redacting=lambda finding: action_for(finding, self._policy) is Verdict.REDACT,
            placeholders=self._placeholders,
        )
