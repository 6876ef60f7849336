from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from customhouse.contracts.governance import Direction, Finding
from customhouse.governance.checks.base import Passage
from customhouse.integrations.guardrails.check import GuardrailsCheck
from customhouse.integrations.guardrails.pool import Pool
from customhouse.integrations.guardrails.sentences import MAX_SENTENCE, sentences
from customhouse.integrations.guardrails.stream import SentenceStream
from tests.integrations.guardrails.conftest import PATH, SETTINGS

ANSWER = (
    'It cost 3.50 at a.b.example... so he said: "Buy bad swordfish!" Then he left.\n\n  No swordfish.Is it? 海は広い。'
    "swordfish。 " + "word " * 900 + "swordfish bad" + " A last one, without an end swordfish"
)

TEXTS = st.text(st.sampled_from('ab .!?\n"」。\ud800'), max_size=60) | st.text(max_size=30)


@pytest.fixture(scope="module")
def check(pool: Pool) -> GuardrailsCheck:
    """Rules that stream, and no others."""
    return GuardrailsCheck(SETTINGS.model_copy(update={"rules": SETTINGS.rules[:2]}), pool)


def streamed(check: GuardrailsCheck, pieces: list[str]) -> list[Finding]:
    stream = check.stream(PATH)
    assert stream is not None
    return [finding for piece in pieces for finding in stream.add(piece)] + stream.finish()


def in_order(findings: list[Finding]) -> list[tuple[str, int, int, str]]:
    return sorted(
        (f.kind, f.span.start if f.span else -1, f.span.end if f.span else -1, f.explanation) for f in findings
    )


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 1000, len(ANSWER)])
def test_the_findings_of_a_stream_are_those_of_the_whole(check: GuardrailsCheck, size: int) -> None:
    whole = check.inspect(Passage(PATH, ANSWER, "assistant"), Direction.OUTPUT)
    pieces = [ANSWER[start : start + size] for start in range(0, len(ANSWER), size)]
    assert in_order(streamed(check, pieces)) == in_order(whole)
    assert sum(finding.kind == "no_word" for finding in whole) == ANSWER.count("swordfish")
    assert sum(finding.kind == "remembers" for finding in whole) == 2


def test_streams_at_the_same_time_never_meet(check: GuardrailsCheck) -> None:
    # guardrails-ai/guardrails#1255: the library gathers a stream's chunks in the validator, which all streams share.
    answers = [f"{'A bad' if number % 3 == 0 else 'A good'} answer. And {number} more." for number in range(40)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda answer: [f.kind for f in streamed(check, list(answer))], answers))
    assert found == [["remembers"] if "bad" in answer else [] for answer in answers]


def test_only_what_is_judged_may_leave(check: GuardrailsCheck) -> None:
    stream = check.stream(PATH)
    assert stream is not None
    assert stream.add("A first one. And a swordf") == []
    assert stream.judged == len("A first one.")
    (finding,) = stream.add("ish! ")
    assert finding.span is not None
    assert (finding.span.start, finding.span.end) == (19, 29)
    assert stream.judged == len("A first one. And a swordfish!")
    assert stream.finish() == []
    assert stream.judged == len("A first one. And a swordfish! ")


def test_a_text_that_no_streaming_rule_is_for_has_no_stream(check: GuardrailsCheck) -> None:
    assert isinstance(check.stream(PATH), SentenceStream)
    assert check.stream("choices.0.message.tool_calls.0.function.arguments") is None


@given(TEXTS, st.lists(st.integers(1, 20), max_size=60))
@example("a" * (MAX_SENTENCE + 5), [MAX_SENTENCE, 1, 1])
@example("a " * MAX_SENTENCE, [MAX_SENTENCE + 1])
@example("a" * (MAX_SENTENCE - 1) + ". b", [MAX_SENTENCE, 1])
@settings(max_examples=300, deadline=None)
def test_sentences_do_not_depend_on_how_a_text_comes(text: str, sizes: list[int]) -> None:
    class Recorded:
        """In place of the jury: keeps what it is given."""

        def __init__(self) -> None:
            self.seen: list[tuple[int, str]] = []

        def judge(self, _path: str, _direction: Direction, pieces: list[object], _jobs: object) -> list[Finding]:
            self.seen += [(piece.offset, piece.text) for piece in pieces]  # type: ignore[attr-defined]
            return []

    recorded = Recorded()
    stream = SentenceStream(recorded, [0], PATH)  # type: ignore[arg-type]
    start = 0
    for size in sizes:
        stream.add(text[start : start + size])
        start += size
    stream.add(text[start:])
    stream.finish()
    assert recorded.seen == [(place, each) for place, each in sentences(text) if not each.isspace()]


@given(TEXTS)
def test_sentences_are_the_whole_text(text: str) -> None:
    found = list(sentences(text))
    assert "".join(each for _, each in found) == text
    assert all(text[place : place + len(each)] == each for place, each in found)
    assert all(len(each) <= MAX_SENTENCE + 5 for _, each in found)
