"""Texts are drawn from alternatives as the notation says."""

from __future__ import annotations

import random

import pytest

from training.suite.grammar import BadGrammar, Grammar, read_grammar

WORDS = {"fruit": ["pear", "plum"], "dish": ["{fruit} soup"], "loop": ["{loop}"]}


@pytest.mark.parametrize(
    ("template", "possible"),
    [
        ("{fruit}", {"pear", "plum"}),
        ("{^dish}!", {"Pear soup!", "Plum soup!"}),
        ("{@fruit} {@fruit}", {"pear pear", "plum plum"}),
        ("{a|b{fruit}}", {"a", "bpear", "bplum"}),
        ("{#4-5}", {"4", "5"}),
        (r"\{fruit\}\n\{", {"{fruit}\n{"}),
    ],
)
def test_slots(template: str, possible: set[str]) -> None:
    chance = random.Random(1)
    assert {Grammar(WORDS, ()).text(template, chance) for _ in range(60)} == possible


@pytest.mark.parametrize("template", ["{vegetable}", "{loop}"])
def test_what_leads_nowhere_is_an_error(template: str) -> None:
    with pytest.raises(BadGrammar):
        Grammar(WORDS, ()).text(template, random.Random(1))


def test_the_files_can_be_read_and_every_shape_can_be_drawn() -> None:
    grammar = read_grammar("benign_hard")
    assert {"de", "en", "zh"} <= {shape.language for shape in grammar.shapes}
    for shape in grammar.shapes:
        text = grammar.draw(shape, random.Random(2))
        assert "\\n" not in text
        assert "\x01" not in text
