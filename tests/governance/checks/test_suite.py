from __future__ import annotations

import pytest

from customhouse.contracts.governance import Direction, Finding, Verdict
from customhouse.governance.checks.base import MAX_FINDINGS, Passage
from customhouse.governance.checks.pii import PiiCheck
from customhouse.governance.checks.prompt_length import PromptLengthCheck
from customhouse.governance.checks.registry import builtin_checks
from customhouse.governance.checks.secrets import SecretsCheck
from customhouse.governance.checks.suite import MANY, CheckSuite, run
from customhouse.governance.policy import DEFAULT_POLICY, Limits
from customhouse.governance.verdict import decide
from tests.governance.samples import MORE_PII, PII, SECRETS, SPACED_SECRETS


def test_all_checks_see_all_passages() -> None:
    passages = [
        Passage("messages.0.content", f"key {SECRETS['stripe_key']}", "user"),
        Passage("messages.1.content", f"mail {PII['email']}", "user"),
    ]
    found = builtin_checks(DEFAULT_POLICY).inspect(passages, Direction.INPUT)
    assert [(f.check, f.kind, f.span and f.span.path) for f in found] == [
        ("secrets", "stripe_key", "messages.0.content"),
        ("pii", "email", "messages.1.content"),
    ]


def test_the_window_is_the_largest_of_the_checks_of_that_direction() -> None:
    suite = builtin_checks(DEFAULT_POLICY)
    assert suite.window(Direction.OUTPUT) == max(SecretsCheck.window, PiiCheck.window)
    assert CheckSuite([PromptLengthCheck(Limits())]).window(Direction.OUTPUT) == 0
    assert [check.name for check in suite.checks(Direction.OUTPUT)] == ["secrets", "pii"]


def test_more_findings_than_can_be_listed_block_where_they_would_be_redacted() -> None:
    passages = [Passage("p", "a@b.co " * (MAX_FINDINGS + 1), "user")]
    found = run(PiiCheck(), passages, Direction.INPUT).findings
    assert len(found) == MAX_FINDINGS + 1
    assert found[-1].kind == "too_many"
    assert decide(found, DEFAULT_POLICY, Direction.INPUT) is Verdict.BLOCK
    assert decide(found[:-1], DEFAULT_POLICY, Direction.INPUT) is Verdict.REDACT


def test_prompt_length_counts_all_passages_together() -> None:
    check = PromptLengthCheck(Limits(max_prompt_chars=10))
    passages = [Passage("a", "12345", "user"), Passage("b", "123456", "user")]
    (finding,) = check.inspect_all(passages, Direction.INPUT)
    assert finding.kind == "characters"
    assert "11 characters" in finding.explanation
    assert "10" in finding.explanation
    assert check.inspect_all(passages[:1], Direction.INPUT) == []


def test_prompt_length_in_tokens() -> None:
    check = PromptLengthCheck(Limits(max_prompt_tokens=10))
    (finding,) = check.inspect_all([Passage("a", "漢" * 11, "user")], Direction.INPUT)
    assert finding.kind == "tokens"
    assert check.inspect_all([Passage("a", "a" * 40, "user")], Direction.INPUT) == []


@pytest.mark.parametrize("text", [*SECRETS.values(), *SPACED_SECRETS, *PII.values(), *MORE_PII])
def test_one_text_among_many_is_seen_as_if_alone(text: str) -> None:
    suite = builtin_checks(DEFAULT_POLICY)
    alone = suite.inspect([Passage("p", text, "user")], Direction.INPUT)
    around = [Passage(f"q{number}", "word", "user") for number in range(MANY)]
    assert suite.inspect([*around, Passage("p", text, "user"), *around], Direction.INPUT) == alone != []


def test_among_many_clean_texts_none_is_looked_at_by_itself() -> None:
    class Counting(PiiCheck):
        seen = 0

        def inspect(self, passage: Passage, direction: Direction) -> list[Finding]:
            self.seen += 1
            return super().inspect(passage, direction)

    check = Counting()
    assert run(check, [Passage("p", "word", "user")] * MANY, Direction.INPUT).findings == []
    assert check.seen == 0
