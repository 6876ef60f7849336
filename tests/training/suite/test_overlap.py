"""Near-copies are found as comparing every pair would find them."""

from __future__ import annotations

import random

from training.suite.overlap import ALIKE, grams, near_copies


def _jaccard(one: str, two: str) -> float:
    a, b = set(grams(one).tolist()), set(grams(two).tolist())
    return len(a & b) / len(a | b)


def _texts(count: int, seed: int) -> list[str]:
    """Many of them alike: sentences with a few words exchanged."""
    chance = random.Random(1)
    words = ["river", "harbour", "lantern", "because", "window", "between", "yellow", "sometimes"]
    base = [" ".join(chance.choices(words, k=12)) for _ in range(6)]
    chance.seed(seed)
    return [" ".join(w if chance.random() < 0.93 else "x" for w in chance.choice(base).split()) for _ in range(count)]


def test_against_others_as_by_comparing_every_pair() -> None:
    texts, others = _texts(40, 1), [*_texts(40, 2), "a"]
    wanted = {i for i, text in enumerate(texts) if any(_jaccard(text, other) > ALIKE for other in others)}
    found = near_copies(texts, others)
    assert set(found) == wanted
    assert wanted, "else nothing was tried"
    assert all(_jaccard(texts[i], others[j]) > ALIKE for i, j in found.items())


def test_among_themselves_the_first_is_kept() -> None:
    texts = ["the quick brown fox jumps", "something else altogether", "The quick  brown fox jumps", "ab"]
    assert near_copies(texts) == {2: 0}
    many = _texts(60, 3)
    copies = near_copies(many)
    kept = [text for i, text in enumerate(many) if i not in copies]
    assert 0 < len(kept) < 60
    assert all(_jaccard(one, two) <= ALIKE for i, one in enumerate(kept) for two in kept[:i])
