"""Loading the validators takes seconds: tests share one process that has them all loaded."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import psutil
import pytest

from customhouse.contracts.governance import Direction, Finding
from customhouse.governance.validators import GuardrailsSettings
from customhouse.integrations.guardrails.jury import Jury, Piece
from customhouse.integrations.guardrails.pool import Pool
from customhouse.integrations.guardrails.process import ValidatorsProcess

PATH = "choices.0.message.content"

OWN = "tests.integrations.guardrails.own"

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name"],
    "additionalProperties": False,
}

RULES: list[dict[str, Any]] = [
    {"validator": "own/no_word", "arguments": {"word": "swordfish"}, "on_fail": "fix", "streams": True},
    {"validator": "own/remembers", "on_fail": "noop", "streams": True},
    {"validator": "own/no_tail", "arguments": {"tail": "Amen."}, "on_fail": "fix"},
    {"validator": "own/polite", "metadata": {"please": "please"}, "sample": "please", "on_fail": "reask"},
    {"json_schema": PERSON, "on_fail": "reask"},
    {
        "guard": {
            "id": "1",
            "name": "person",
            "output_schema": {"type": "object", "properties": {"name": {"type": "string"}}},
            "validators": [
                {"id": "own/no_word", "on": "$.name", "onFail": "exception", "kwargs": {"word": "swordfish"}},
                {"id": "own/no_tail", "on": "$.name", "onFail": "fix", "kwargs": {"tail": "Amen."}},
            ],
        },
    },
    {"validator": "own/backtracks"},
    {"validator": "own/raises"},
    {"validator": "own/dies"},
    {"validator": "own/asks_around"},
    {"validator": "own/sees_keys"},
]

SETTINGS = GuardrailsSettings.model_validate(
    {"rules": [rule if "json_schema" in rule else {**rule, "module": OWN} for rule in RULES], "deadline_ms": 60_000}
)


def loaders() -> list[psutil.Process]:
    """The processes of ours that have validators loaded."""
    return [
        each for each in psutil.Process().children() if "customhouse.integrations.guardrails.child" in each.cmdline()
    ]


Ask = Callable[..., list[Finding]]


@pytest.fixture(scope="session")
def pool() -> Iterator[Pool]:
    pool = Pool(partial(ValidatorsProcess, SETTINGS, {**os.environ, "OPENAI_API_KEY": "sk-a-key-of-ours"}), size=2)
    yield pool
    pool.close()


@pytest.fixture
def ask(pool: Pool) -> Ask:
    """What rules, by name, find in a text."""
    jury = Jury(SETTINGS, pool)
    names = [rule.name for rule in SETTINGS.rules]

    def judged(text: str, *rules: str, jury: Jury = jury) -> list[Finding]:
        return jury.judge(PATH, Direction.OUTPUT, [Piece(text)], [(names.index(rule), [0]) for rule in rules])

    return judged
