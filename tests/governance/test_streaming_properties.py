"""Whatever the text and however it is cut into chunks: a stream comes to what the whole answer comes to."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from customhouse.contracts.governance import Direction, Finding, Verdict
from customhouse.governance.checks.base import Passage
from customhouse.governance.checks.registry import builtin_checks
from customhouse.governance.policy import DEFAULT_POLICY, Policy, builtin_policy
from customhouse.governance.redaction import Placeholders, redact_answer, redact_text
from customhouse.governance.streaming import StreamGovernor
from customhouse.governance.verdict import action_for, decide, to_redact
from tests.governance.answers import answer, chunk, joined
from tests.governance.samples import DISGUISES, MORE_PII, PII, SECRETS, SPACED_SECRETS, UNBROKEN

PATH = "choices.0.message.content"
REDACT_ALL = builtin_policy(secrets=Verdict.REDACT)
POLICIES = (DEFAULT_POLICY, REDACT_ALL)
SUITE = builtin_checks(DEFAULT_POLICY)

plain = st.sampled_from([*SECRETS.values(), *SPACED_SECRETS, *PII.values(), *MORE_PII])
disguised = st.builds(lambda text, how: how(text), plain, st.sampled_from([*UNBROKEN.values(), *DISGUISES.values()]))
planted = st.one_of(plain, disguised)
broken = st.builds(lambda text, cut: text[: max(1, int(len(text) * cut))], planted, st.floats(0, 1))
filler = st.one_of(
    st.text(alphabet="ab1 +-.@:/\"'\n\t49\\(){}", max_size=40),
    st.text(max_size=8),
    st.sampled_from(
        [
            "The quick brown fox ",
            "aws ",
            "key ",
            "BEGIN ",
            "-----",
            "sk-",
            "1 415 ",
            "4111 ",
            "漢字かな交じり文",
            "🙂",
            "\u00a0",
            "\u200b" * 120,
            "\u200b ",
            "\ufeff",
            "\u0335",
            "ﻻ㎏",
            "а",
            "%",
            "&#6",
            "\\u00",
            " " * 70,
        ]
    ),
    st.builds(lambda letter, count: letter * count, st.sampled_from("xA1 +"), st.integers(90, 200)),
)
texts = st.lists(st.one_of(filler, filler, planted, broken), max_size=12).map("".join)


@st.composite
def chunked(draw: st.DrawFn) -> tuple[str, list[str]]:
    text = draw(texts)
    size = draw(st.sampled_from([1, 3, 7, 40, 500]))
    jitter = draw(st.integers(0, 6))
    pieces, position = [], 0
    while position < len(text):
        step = size + (position * 7 % (jitter + 1))
        pieces.append(text[position : position + step])
        position += step
    return text, pieces


def _whole(text: str, policy: Policy) -> tuple[list[Finding], Verdict]:
    findings = SUITE.inspect([Passage(PATH, text, "assistant")], Direction.OUTPUT)
    return findings, decide(findings, policy, Direction.OUTPUT)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.version)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(sample=chunked())
def test_a_stream_comes_to_what_the_whole_answer_comes_to(policy: Policy, sample: tuple[str, list[str]]) -> None:
    text, pieces = sample
    findings, verdict = _whole(text, policy)
    governor = StreamGovernor(SUITE, policy)
    released = [out for piece in pieces for out in governor.feed(chunk({"content": piece}))]
    finished = governor.finish(answer({"content": text}))

    assert finished.findings == findings
    assert finished.verdict == verdict
    if verdict in (Verdict.ALLOW, Verdict.REDACT):
        assert not governor.is_stopped
        redacted = redact_answer(answer({"content": text}), to_redact(findings, policy, Direction.OUTPUT))
        assert joined([*released, *finished.chunks]) == redacted.choices[0].message["content"]
        assert finished.answer == redacted
    else:
        assert finished.chunks == []
        # Not one character of the offending text has left: what has is a prefix of what comes before it.
        first = min(f.span.start for f in findings if f.span and action_for(f, policy) is Verdict.BLOCK)
        before = [f for f in to_redact(findings, policy, Direction.OUTPUT) if f.span and f.span.end <= first]
        clear = redact_text(text[:first], before, Placeholders())
        assert clear.startswith(joined(released))


@settings(max_examples=80, deadline=None)
@given(secret=st.sampled_from([*SECRETS.values(), *SPACED_SECRETS]), lead=texts, tail=texts, size=st.integers(1, 30))
def test_a_planted_secret_never_leaves(secret: str, lead: str, tail: str, size: int) -> None:
    assume(secret not in lead + tail)  # glued to other letters, some tokens are not told from names
    text = f"{lead} {secret} {tail}"
    for policy in POLICIES:
        governor = StreamGovernor(SUITE, policy)
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        released = [out for piece in pieces for out in governor.feed(chunk({"content": piece}))]
        finished = governor.finish(answer({"content": text}))
        assert secret not in joined([*released, *finished.chunks])
        assert finished.verdict in (Verdict.BLOCK, Verdict.REDACT)
        assert secret not in str(finished.findings)


@pytest.mark.parametrize("how", [*UNBROKEN, *DISGUISES])
@settings(max_examples=15, deadline=None)
@given(secret=st.sampled_from([*SECRETS.values()]), size=st.integers(1, 60))
def test_nor_does_one_that_is_encoded_or_spelled_otherwise(how: str, secret: str, size: int) -> None:
    hidden = {**UNBROKEN, **DISGUISES}[how](secret)
    text = f"Of course, here it is for you to read: {hidden} and that is all there is to say. {'So long. ' * 30}"
    governor = StreamGovernor(SUITE, DEFAULT_POLICY)
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    released = [out for piece in pieces for out in governor.feed(chunk({"content": piece}))]
    finished = governor.finish(answer({"content": text}))
    assert finished.verdict is Verdict.BLOCK
    assert finished.findings == _whole(text, DEFAULT_POLICY)[0]
    # Of a private key the header is what is found, and nothing of it may have left either.
    assert f"Of course, here it is for you to read: {hidden[:5]}" not in joined([*released, *finished.chunks])
