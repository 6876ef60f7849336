# ruff: noqa: S311 (nothing here is secret)
"""All that we make ourselves, by a seed."""

from __future__ import annotations

from random import Random

from training.made import agents, attacks, encoded, harm, indirect, intents, languages, play, security
from training.made.draw import Example


def build(seed: int, count: int = 500) -> list[Example]:
    """Some 20 times `count` texts. The same seed and count give the same texts."""
    random = Random(seed)
    texts = [
        *harm.examples(random, count),
        *attacks.examples(random, count),
        *indirect.examples(random, count * 2),
        *agents.examples(random, count),
        *languages.examples(random, count // 2),
        *intents.examples(random, count * 2),
        *security.examples(random, count),
        *play.examples(random, count),
    ]
    return [*texts, *encoded.examples(random, texts, count // 2)]
