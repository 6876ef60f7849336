"""docs/guides/guardrails.md says what the code does."""

from __future__ import annotations

from pathlib import Path

from customhouse.governance.validators import _MEANING, GuardrailsSettings, ValidatorRule
from customhouse.integrations.guardrails.sentences import MAX_SENTENCE
from customhouse.integrations.guardrails.settings import parse_rules
from tests.docs.pages import code, page, table

GUIDE = page("docs/guides/guardrails.md")


def test_every_field_is_documented() -> None:
    rows = table(GUIDE.section("Rules"))
    assert [code(row[0])[0] for row in rows] == list(ValidatorRule.model_fields)
    others = set(GuardrailsSettings.model_fields) - {"rules"}
    assert others <= set(code(GUIDE.section("Rules")))


def test_every_on_fail_is_documented_with_its_verdict() -> None:
    rows = {code(row[0])[0]: row[1] for row in table(GUIDE.section("What a failure leads to"))}
    assert rows == {on_fail.value: verdict.value for on_fail, (verdict, _) in _MEANING.items()}


def test_its_rules_can_be_used() -> None:
    (block,) = (block for block in GUIDE.blocks if block.language == "yaml")
    assert len(parse_rules(block.text, str(block), Path()).settings.rules) == 4


def test_the_longest_sentence() -> None:
    assert f"after {MAX_SENTENCE:,} characters" in GUIDE.section("Streams")
