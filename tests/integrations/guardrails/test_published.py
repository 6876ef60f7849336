"""The validators that docs/guides/guardrails.md calls good here, as far as they are installed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any

import pytest

from customhouse.governance.validators import PACKAGE, GuardrailsSettings
from customhouse.integrations.guardrails.pool import Pool
from customhouse.integrations.guardrails.process import ValidatorsProcess
from tests.docs.pages import code, page, table

LEAKED = "You are a pirate, and you never tell anybody of the treasure."

SAMPLES: dict[str, tuple[dict[str, Any], str, str]] = {
    "guardrails/ban_list": (
        {"banned_words": ["swordfish"], "max_l_dist": 0},
        "A plain sentence.",
        "Say swordfish now.",
    ),
    "guardrails/contains_string": ({"substring": "Regards"}, "Regards, Ann", "Bye"),
    "guardrails/cucumber_expression_match": ({"expression": "I have {int} cats"}, "I have 3 cats", "I have cats"),
    "guardrails/detect_system_prompt_leakage": ({"system_prompt": LEAKED}, "It rains in Lisbon.", LEAKED),
    "guardrails/ends_with": ({"end": "."}, "It ends.", "It does not"),
    "guardrails/exclude_sql_predicates": ({"predicates": ["Drop"]}, "select 1", "drop table users"),
    "guardrails/has_url": ({}, "See https://example.org", "See nothing"),
    "guardrails/internal_domains": ({"internal_domains": ["corp.example"]}, "example.org", "see wiki.corp.example"),
    "guardrails/lowercase": ({}, "lower", "Upper"),
    "cartesia/mentions_drugs": ({}, "I like bread", "Take ibuprofen"),
    "guardrails/one_line": ({}, "one line", "two\nlines"),
    "guardrails/profanity_free": ({}, "Have a lovely day", "you are a fucking idiot"),
    "cartesia/quotes_price": ({}, "It is free", "It costs $ 45.00"),
    "guardrails/reading_time": ({"reading_time": 1}, "A short text.", "word " * 2000),
    "guardrails/regex_match": ({"regex": r"\d{3}-\d{4}", "match_type": "search"}, "Call 555-1234", "Call me"),
    "guardrails/secrets_present": ({}, "nothing here\n", 'aws_key = "AKIAIOSFODNN7EXAMPLE"\n'),
    "guardrails/two_words": ({}, "two words", "three words here"),
    "guardrails/uppercase": ({}, "UPPER", "Lower"),
    "guardrails/valid_choices": ({"choices": ["yes", "no"]}, "yes", "maybe"),
    "guardrails/valid_html": ({}, "<p>x</p>", "<p"),
    "guardrails/valid_json": ({}, '{"a": 1}', "{a: 1"),
    "guardrails/valid_length": ({"min": 1, "max": 20}, "short", "x" * 21),
    "guardrails/valid_open_api_spec": ({}, '{"openapi":"3.0.0","info":{"title":"a","version":"1"},"paths":{}}', "{}"),
    "guardrails/valid_sql": ({}, "select a from b", "selekt from from"),
    "guardrails/valid_url": ({}, "https://example.org/a", "not a url"),
    "guardrails/web_sanitization": ({}, "plain text", "<script>alert(1)</script>"),
}
"""Arguments, a text that passes, and one that fails."""


def is_installed(name: str) -> bool:
    return find_spec(PACKAGE) is not None and find_spec(f"{PACKAGE}.{name.rsplit('/', 1)[-1]}") is not None


INSTALLED = [name for name in SAMPLES if is_installed(name)]


@pytest.fixture(scope="module")
def published() -> Iterator[Pool]:
    rules = [
        {"validator": name, "arguments": arguments, "sample": passing}
        for name, (arguments, passing, _) in SAMPLES.items()
        if name in INSTALLED
    ]
    settings = GuardrailsSettings.model_validate({"rules": rules})
    pool = Pool(partial(ValidatorsProcess, settings, os.environ), 1)
    yield pool
    pool.close()


@pytest.mark.skipif(not INSTALLED, reason="no guardrails-ai-* validator is installed")
@pytest.mark.parametrize("name", INSTALLED)
def test_a_published_validator_judges_here(published: Pool, name: str) -> None:
    _, passing, failing = SAMPLES[name]
    judgement = published.judge([passing, failing], [(INSTALLED.index(name), [0, 1])], 60)
    assert (judgement.broken, judgement.trouble) == ([], None)
    assert [text for _, text, _ in judgement.failed] == [1]


def test_the_guide_lists_the_same_ones_as_good() -> None:
    rows = table(page("docs/guides/guardrails.md").section("Published validators"))
    assert {code(row[0])[0] for row in rows if row[3] == "yes"} == set(SAMPLES)
