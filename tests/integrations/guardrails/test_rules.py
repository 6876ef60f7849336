"""Rules and what they mean, without the library."""

from __future__ import annotations

from pathlib import Path

import pytest

from customhouse.contracts.errors import ConfigurationError
from customhouse.contracts.governance import CheckFailure, Direction, Finding, Severity, Verdict
from customhouse.governance.checks.base import Passage
from customhouse.governance.policy import OnFailure, Policy
from customhouse.governance.validator_findings import LONGEST_WORD, Failed, findings_of, unlooked
from customhouse.governance.validators import OnFail, ValidatorRule, with_rules
from customhouse.integrations.guardrails.settings import parse_rules, read_rules

HERE = Path(__file__).parent

PATH = "choices.0.message.content"


def rule(**fields: object) -> ValidatorRule:
    return ValidatorRule.model_validate({"validator": "own/no-word", **fields})


@pytest.mark.parametrize(
    ("on_fail", "verdict", "severity"),
    [
        (OnFail.EXCEPTION, Verdict.BLOCK, Severity.HIGH),
        (OnFail.REFRAIN, Verdict.BLOCK, Severity.HIGH),
        (OnFail.REASK, Verdict.BLOCK, Severity.HIGH),
        (OnFail.FIX_REASK, Verdict.BLOCK, Severity.HIGH),
        (OnFail.FIX, Verdict.REDACT, Severity.MEDIUM),
        (OnFail.FILTER, Verdict.REDACT, Severity.MEDIUM),
        (OnFail.NOOP, Verdict.ALLOW, Severity.INFO),
    ],
)
def test_on_fail_is_a_verdict(on_fail: OnFail, verdict: Verdict, severity: Severity) -> None:
    settings = parse_rules(f"rules: [{{validator: own/no-word, on_fail: {on_fail}}}]", "f", HERE).settings
    assert settings.actions() == {Direction.OUTPUT: {"guardrails.no_word": verdict}}
    (finding,) = findings_of(settings.rules[0], Failed(), "text", PATH, Direction.OUTPUT)
    assert finding.severity is severity
    assert Policy(version="p", actions=settings.actions()).action(finding) is verdict


def test_rules_join_a_policy_and_what_it_names_itself_holds() -> None:
    text = "rules:\n- {validator: a/b, directions: [output, tool_result], on_fail: noop}\n- {validator: a/c}"
    settings = parse_rules(text, "f", HERE).settings
    own = Policy(
        version="mine",
        actions={Direction.INPUT: {"pii": Verdict.REDACT}, Direction.OUTPUT: {"guardrails.c": Verdict.REVIEW}},
    )
    joined = with_rules(own, settings)
    assert joined.actions == {
        Direction.INPUT: {"pii": Verdict.REDACT},
        Direction.TOOL_RESULT: {"pii": Verdict.REDACT, "guardrails.b": Verdict.ALLOW},
        Direction.OUTPUT: {"guardrails.b": Verdict.ALLOW, "guardrails.c": Verdict.REVIEW},
    }
    other = parse_rules(text.replace("a/c", "a/d"), "f", HERE).settings
    assert joined.version.startswith("mine+guardrails-")
    assert joined.version != with_rules(own, other).version
    assert joined.version == with_rules(own, parse_rules(text, "g", HERE).settings).version


def test_a_filtered_text_goes_as_a_whole() -> None:
    (finding,) = findings_of(rule(on_fail="filter"), Failed(spans=[(1, 2)]), "some text", PATH, Direction.OUTPUT)
    assert finding.span is not None
    assert (finding.span.start, finding.span.end) == (0, 9)


def test_places_count_in_the_whole_text_and_never_reach_beyond_it() -> None:
    failed = Failed(spans=[(2, 3), (2, 4), (8, 99), (50, 60), (5, 5)])
    found = findings_of(rule(), failed, "abc defgh", PATH, Direction.OUTPUT, offset=100)
    assert [(f.span.start, f.span.end) for f in found if f.span] == [(100, 103), (100, 104), (104, 109)]


def test_places_within_an_endless_word_stay_near() -> None:
    failed = Failed(spans=[(5000, 5010), (500_000, 500_001)])
    found = findings_of(rule(), failed, "a" * 1_000_000, PATH, Direction.OUTPUT)
    ends = [(4900, 5110), (499_900, 500_101)]
    assert [(f.span.start, f.span.end) for f in found if f.span] == ends
    assert LONGEST_WORD == 100


def test_only_findings_of_rules_that_reask_ask_again() -> None:
    settings = parse_rules(
        "rules:\n- {validator: a/length, arguments: {max: 20, word: hush}, on_fail: reask}\n"
        "- {validator: a/tone, on_fail: fix_reask, instruction: Be kind.}\n- {validator: a/other}",
        "f",
        HERE,
    ).settings
    length, tone, other = (findings_of(each, Failed(), "t", PATH, Direction.OUTPUT)[0] for each in settings.rules)
    schema = Finding(check="json_schema", kind="length", severity="high", direction="output", explanation="")
    failed = unlooked(settings.rules[0], Direction.OUTPUT, late=True, why="is late")
    assert settings.asks_again([length, tone])
    assert not settings.asks_again([])
    for blocking in (other, schema, failed):
        assert not settings.asks_again([length, blocking])
    complaint = settings.complaint_of([length, tone])
    assert "- It must satisfy length (max 20).\n- Be kind.\n" in complaint
    assert "hush" not in complaint


def test_what_has_not_looked_follows_the_policys_on_failure() -> None:
    finding = unlooked(rule(), Direction.OUTPUT, late=True, why="is late")
    assert finding.kind == CheckFailure.TIMED_OUT
    assert finding.is_failure
    opened = Policy.model_validate({"version": "p", "actions": {}, "checks": {"guardrails": {"on_failure": "open"}}})
    assert opened.rule("guardrails").on_failure is OnFailure.OPEN
    assert opened.action(finding) is Verdict.ALLOW


@pytest.mark.parametrize(
    ("fields", "passage", "direction", "looks"),
    [
        ({}, Passage(PATH, "t", "assistant"), Direction.OUTPUT, True),
        ({}, Passage("choices.0.message.content.1.text", "t", "assistant"), Direction.OUTPUT, True),
        ({}, Passage("choices.0.message.tool_calls.0.function.arguments", "t", "assistant"), Direction.OUTPUT, False),
        (
            {"texts": "all"},
            Passage("choices.0.message.tool_calls.0.function.arguments", "t", "assistant"),
            Direction.OUTPUT,
            True,
        ),
        ({"texts": "all"}, Passage("tools.0.name", "t", "user", is_name=True), Direction.OUTPUT, False),
        ({}, Passage("messages.0.content", "t", "user"), Direction.INPUT, False),
        ({"directions": ["input"]}, Passage("messages.0.content", "t", "user"), Direction.INPUT, True),
        ({"directions": ["input"]}, Passage("messages.0.content", "t", "system"), Direction.INPUT, False),
        (
            {"directions": ["input"], "roles": ["system"]},
            Passage("messages.0.content", "t", "system"),
            Direction.INPUT,
            True,
        ),
        ({"directions": ["tool_result"]}, Passage("messages.1.content", "t", "tool"), Direction.TOOL_RESULT, True),
    ],
)
def test_texts_that_a_rule_looks_at(
    fields: dict[str, object], passage: Passage, direction: Direction, looks: bool
) -> None:
    assert rule(**fields).looks_at(passage, direction) is looks


DEEP = "{not: " * 70 + "{}" + "}" * 70
FANNED = "{$ref: '#/$defs/a', $defs: {a: {pattern: '(?=x)'}}}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f.yaml:1: the guardrails file is empty. Add `rules`."),
        ("- a", "f.yaml:1: the file must be a mapping with `rules`"),
        ("rules: []", "f.yaml:1: rules: tuple should have at least 1 item"),
        ("rules:\n- validator: a/b\n  on_fial: fix", "f.yaml:3: rules[0].on_fial: there is no such field; remove it"),
        ("rules:\n- validator: a/b\n  on_fail: custom", "f.yaml:3: rules[0].on_fail: input should be 'exception'"),
        ("rules:\n- on_fail: fix", "f.yaml:2: rules[0]: name exactly one of `validator`, `json_schema` and `guard`"),
        ("rules:\n- {validator: a/b, on_fail: reask, directions: [input]}", "asks a model again, so `directions` can"),
        ("rules:\n- {validator: a/b, directions: [sideways]}", "rules[0].directions[0]: input should be 'input'"),
        ("rules:\n- {validator: a/b, directions: []}", "`directions` is empty; name input, tool_result or output"),
        ("rules:\n- {validator: a/b, streams: true, on_fail: filter}", "`on_fail: filter` needs the whole answer"),
        ("rules:\n- {validator: a/b, streams: true, directions: [input]}", "`streams` is for a `validator` whose"),
        ("rules:\n- {json_schema: {}, streams: true}", "`streams` is for a `validator` whose"),
        ("rules:\n- {json_schema: {}, arguments: {a: 1}}", "`arguments` belong to a `validator`"),
        ("rules:\n- {validator: a/b}\n- {validator: c/b}", "two rules are named b; give one another `name`"),
        ("rules:\n- {validator: a/b, name: check_failed}", "check_failed is a kind that every check has"),
        ("rules:\n- {validator: a/b, name: 9}", "rules[0].name: input should be a valid string"),
        ("rules:\n- {validator: a/b, on: [output]}", "f.yaml:2: a field's name must be plain text. Put on, off, yes"),
        (
            "rules:\n- {guard: nothing.json}",
            "nothing.json: No such file or directory. Name a file that",
        ),
        ("rules:\n- {guard: own.py}", "own.py: not JSON: "),
        ("rules:\n- {validator: a/b}\ndeadline_ms: 0", "f.yaml:3: deadline_ms: input should be greater than or equal"),
        ("rules:\n- json_schema: {type: objekt}", "f.yaml:2: rules[0].json_schema: this is not a valid JSON Schema"),
        ("rules:\n- json_schema: {$ref: 'https://x.example/s'}", "points out of the schema, and nothing is fetched"),
        ("rules:\n- guard: {output_schema: {$ref: 'file:///etc/passwd'}}", "rules[0].guard: the reference"),
        ("rules:\n- json_schema: " + DEEP, "nested deeper than"),
        ("rules:\n- json_schema: " + FANNED, "the pattern '(?=x)' cannot be used"),
        ("rules: &a [*a]", "f.yaml:1: aliases (*a) are not allowed"),
    ],
)
def test_what_is_wrong_is_named_by_file_line_and_field(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_rules(text, "f.yaml", HERE)
    assert message in caught.value.message


def test_a_file_that_cannot_be_read_says_which_setting_to_mend(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be read: No such file.* Correct CUSTOMHOUSE_GUARDRAILS"):
        read_rules(tmp_path / "none.yaml")
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"rules: \xe9")
    with pytest.raises(ConfigurationError, match="is not UTF-8 text"):
        read_rules(latin)
