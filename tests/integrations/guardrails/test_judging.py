from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from customhouse.contracts.governance import CheckFailure, Direction, Finding, Verdict
from customhouse.governance.checks.base import Passage
from customhouse.governance.policy import Policy
from customhouse.governance.redaction import Placeholders, redact_text
from customhouse.governance.validator_findings import MAX_SPANS
from customhouse.governance.verdict import decide
from customhouse.integrations.guardrails.check import GuardrailsCheck
from customhouse.integrations.guardrails.pool import Pool
from tests.integrations.guardrails.conftest import PATH, SETTINGS, Ask

POLICY = Policy(version="p", actions=SETTINGS.actions())


def kinds(findings: list[Finding]) -> list[str]:
    return [finding.kind for finding in findings]


def test_a_failed_validator_is_a_finding_with_its_places(ask: Ask) -> None:
    text = "The swordfish, and (swordfish)."
    findings = ask(text, "no_word", "no_tail")
    assert [(f.check, f.kind, f.severity) for f in findings] == [("guardrails", "no_word", "medium")] * 2
    # Widened to whole words, for some validators miss a character.
    assert [text[f.span.start : f.span.end] for f in findings if f.span] == ["swordfish,", "(swordfish)."]
    assert redact_text(text, findings, Placeholders()) == "The <NO_WORD_1> and <NO_WORD_2>"
    assert decide(findings, POLICY, Direction.OUTPUT) is Verdict.REDACT


def test_a_correction_without_places_is_the_stretch_that_it_would_change(ask: Ask) -> None:
    text = "Thus it ends. Amen."
    (finding,) = ask(text, "no_tail")
    assert finding.span is not None
    assert text[finding.span.start : finding.span.end] == "Amen."


def test_findings_never_hold_the_text(ask: Ask) -> None:
    findings = ask("a swordfish called bad raise", "no_word", "remembers", "raises", "polite")
    assert len(findings) == 4
    assert not any(word in str(f) for f in findings for word in ("swordfish", "called"))


def test_more_places_than_can_be_listed_block_where_they_would_be_redacted(ask: Ask) -> None:
    findings = ask("swordfish " * (MAX_SPANS + 1), "no_word")
    assert [f.span for f in findings] == [None]
    assert decide(findings, POLICY, Direction.OUTPUT) is Verdict.BLOCK
    assert len(ask("swordfish " * MAX_SPANS, "no_word")) == MAX_SPANS


def test_a_validator_that_can_only_be_awaited_is_awaited(ask: Ask) -> None:
    # guardrails-ai/guardrails#1149: a coroutine that nobody awaited was taken for a verdict.
    for _ in range(2):
        assert ask("please", "polite") == []
        assert kinds(ask("now", "polite")) == ["polite"]


def test_texts_at_the_same_time_never_meet(ask: Ask) -> None:
    # guardrails-ai/guardrails#1375 and #1255: verdicts were looked up in a shared history, and chunks gathered in
    # shared validators, so that one caller got another's.
    texts = [f"{'bad' if number % 3 == 0 else 'good'} {number}" for number in range(120)]
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda text: kinds(ask(text, "remembers")), texts))
    assert answers == [["remembers"] if text.startswith("bad") else [] for text in texts]


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ('{"name": "Ann", "age": 3}', True),
        ('{"age": 3}', False),
        ("Ann", False),
        # What a Guard would mend before it judges: the text goes on as it is.
        ('{"name": "Ann", "age": "3"}', False),
        ('{"name": "Ann", "age": true}', False),
        ('{"name": "Ann", "more": 1}', False),
        ('```json\n{"name": "Ann"}\n```', False),
        ("[" * 100_000, False),
    ],
)
def test_a_guard_judges_by_its_json_schema(ask: Ask, text: str, passes: bool) -> None:
    findings = ask(text, "json_schema")
    assert kinds(findings) == ([] if passes else ["json_schema"])
    assert SETTINGS.asks_again(findings) is not passes


def test_a_guard_of_ones_own_judges_by_its_fields_validators(ask: Ask) -> None:
    assert ask('{"name": "Ann"}', "guard") == []
    assert kinds(ask('{"name": "swordfish"}', "guard")) == ["guard"]
    assert kinds(ask('{"name": "Ann Amen."}', "guard")) == ["guard"]
    assert kinds(ask("Ann", "guard")) == ["guard"]


def test_what_raises_has_not_looked_and_the_others_have(ask: Ask) -> None:
    findings = ask("raise the swordfish", "no_word", "raises", "remembers")
    assert kinds(findings) == ["no_word", CheckFailure.FAILED]
    assert findings[1].explanation == "The validator own/raises failed (LookupError), so it has not looked."
    assert decide(findings, POLICY, Direction.OUTPUT) is Verdict.BLOCK  # a failure is closed unless policy says open


def test_what_brings_its_process_down_has_not_looked_and_the_next_text_is_judged(ask: Ask) -> None:
    findings = ask("die swordfish", "no_word", "dies", "remembers")
    assert kinds(findings) == ["no_word", CheckFailure.FAILED, CheckFailure.FAILED]
    assert "own/dies brought its process down" in findings[1].explanation
    assert ask("live", "no_word", "dies", "remembers") == []


def test_a_validator_that_wants_the_network_has_not_looked(ask: Ask) -> None:
    assert ask("no need", "asks_around") == []
    (finding,) = ask("ask them", "asks_around")
    assert "own/asks_around failed (NoNetwork)" in finding.explanation


def test_validators_see_none_of_our_keys(ask: Ask) -> None:
    assert ask("sk-a-key-of-ours", "sees_keys") == []
    assert kinds(ask("true", "sees_keys")) == ["sees_keys"]  # a variable that they do see


def test_text_that_cannot_be_encoded_is_judged(pool: Pool) -> None:
    check = GuardrailsCheck(SETTINGS.model_copy(update={"rules": SETTINGS.rules[:2]}), pool)
    text = "\ud800 swordfish \x00"
    (finding,) = check.inspect(Passage(PATH, text, "assistant"), Direction.OUTPUT)
    assert finding.span is not None
    assert text[finding.span.start : finding.span.end] == "swordfish"


@pytest.mark.parametrize(
    "text",
    ["a" * 1_000_000, "🎉" * 250_000, "\u202e. " * 50_000, "\x00" * 1_000_000, '{"name":' * 100_000, "\ud83d\n" * 9],
)
def test_a_hostile_text_has_a_verdict(pool: Pool, text: str) -> None:
    # Without the one that takes its time over every sentence.
    rules = [rule for rule in SETTINGS.rules[:6] if rule.name != "remembers"]
    slow = SETTINGS.rules[1].model_copy(update={"directions": (Direction.INPUT,)})
    check = GuardrailsCheck(SETTINGS.model_copy(update={"rules": (rules[0], slow, *rules[1:])}), pool)
    findings = check.inspect(Passage(PATH, text, "assistant"), Direction.OUTPUT)
    assert {"polite", "json_schema"} <= set(kinds(findings))
    assert not any(finding.is_failure for finding in findings)


def test_only_texts_that_a_rule_is_for_are_sent(pool: Pool) -> None:
    check = GuardrailsCheck(SETTINGS.model_copy(update={"rules": SETTINGS.rules[:3]}), pool)
    text = "the swordfish says Amen."
    assert kinds(check.inspect(Passage(PATH, text, "assistant"), Direction.OUTPUT)) == ["no_word", "no_tail"]
    arguments = Passage("choices.0.message.tool_calls.0.function.arguments", text, "assistant")
    assert check.inspect(arguments, Direction.OUTPUT) == []
    assert check.inspect(Passage("messages.0.content", text, "user"), Direction.INPUT) == []
    assert check.directions == {Direction.OUTPUT}
    assert check.holds_streams


def test_no_thread_is_left_behind(ask: Ask) -> None:
    ask("warm", "remembers")
    before = threading.active_count()
    for _ in range(20):
        ask("text", "remembers", "polite")
    assert threading.active_count() == before
