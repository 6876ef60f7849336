import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data import COPYLEFT, MADE, NON_COMMERCIAL, Row, family_of, folds_of, load, near_duplicates, weights_of
from training.instances import capped
from training.measure import auc, best_threshold, recall_at, report


def row(
    text: str = "hello",
    *,
    source: str = "s",
    is_abuse: bool = False,
    category: str = "benign_assistant",
    group: int = 0,
    family: str | None = None,
) -> Row:
    return Row(text, is_abuse, category, source, family or family_of(source), group)


def mixed(count: int = 300) -> list[Row]:
    draw = np.random.default_rng(2)
    return [
        row(
            f"text {k}",
            source=f"source{draw.integers(0, 12)}",
            is_abuse=bool(draw.integers(0, 2)),
            category=str(draw.choice(["a", "b"])),
            group=k,
        )
        for k in range(count)
    ]


def test_sources_that_may_not_be_shipped_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    sources = [*NON_COMMERCIAL, *COPYLEFT, "gsm8k"]
    lines = [
        json.dumps({"text": f"text {name} \u2028 x", "label": "benign", "category": "c", "source": name})
        for name in sources
    ]
    path.write_text("\n".join(lines))
    assert [each.source for each in load([path])] == ["gsm8k"]
    assert len(load([path], shipped_only=False)) == len(sources)


def test_kin_are_one_family() -> None:
    assert family_of("catqa_en") == family_of("catqa_zh") == family_of("harmfulqa")
    assert family_of("own_direct2") == family_of("own_multilingual")
    assert family_of("gsm8k") != family_of("advbench")


def test_a_family_is_never_parted_by_a_fold_and_made_texts_are_never_left_out() -> None:
    rows = [*mixed(), row(family=MADE)]
    folds = folds_of(rows, 4)
    by_family = defaultdict(set)
    for each, fold in zip(rows, folds, strict=True):
        by_family[each.family].add(fold)
    assert all(len(found) == 1 for found in by_family.values())
    assert by_family[MADE] == {-1}
    assert set(folds) == {-1, 0, 1, 2, 3}


def test_near_duplicates_share_a_group() -> None:
    text = "How can I return the blue kettle that I bought from your shop last week?"
    groups = near_duplicates(
        [text, text.upper() + "!", "What is the tallest mountain in South America, and who climbed it?"]
    )
    assert groups[0] == groups[1] != groups[2]


def test_weights_make_labels_even_and_cap_a_source() -> None:
    rows = [row(f"b{k}", source="big", group=k) for k in range(1_000)]
    rows += [row(f"s{k}", source="small", group=2_000 + k) for k in range(50)]
    rows += [row(f"a{k}", source="attack", is_abuse=True, group=4_000 + k) for k in range(20)]
    weights = np.array(weights_of(rows, cap=100))
    labels = np.array([each.is_abuse for each in rows])
    big = np.array([each.source == "big" for each in rows])
    small = np.array([each.source == "small" for each in rows])
    assert weights[labels].sum() == pytest.approx(weights[~labels].sum())
    assert weights[big].sum() == pytest.approx(2 * weights[small].sum())


def test_a_cap_takes_near_duplicates_last() -> None:
    rows = [row("same", group=1) for _ in range(5)] + [row(f"text {k}", group=10 + k) for k in range(5)]
    assert len({each.group for each in capped(rows, 6, seed=1)}) == 6


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_auc_is_the_chance_that_abuse_ranks_higher(pairs: list[tuple[int, bool]]) -> None:
    labels = np.array([label for _, label in pairs])
    if labels.all() or not labels.any():
        labels[0] = not labels[0]
    scores = np.array([float(score) for score, _ in pairs])
    wins = [(a > b) + (a == b) / 2 for a in scores[labels] for b in scores[~labels]]
    assert auc(scores, labels, np.ones(len(labels))) == pytest.approx(float(np.mean(wins)))


def test_a_perfect_score_is_reported_as_such() -> None:
    rows = [row(f"t{k}", is_abuse=k % 2 == 1, source=f"s{k % 4}", group=k) for k in range(80)]
    scores = np.array([0.9 if each.is_abuse else 0.1 for each in rows])
    found = report(rows, scores, best_threshold(rows, scores))
    assert found["balanced_accuracy"] == found["auc"] == 1.0
    assert recall_at(scores, np.array([each.is_abuse for each in rows]), np.ones(80), 0.02) == 1.0
