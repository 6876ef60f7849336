"""The suite in the repository is what `build` makes, and holds what docs/abuse-suite.md says."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
from collections import Counter

import pytest

from training.suite.build import DATA, FROM_DEV, OUT, WANTED, Row, build_from
from training.suite.cases import LABELS, cases
from training.suite.encoders import ENCODERS


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    return gzip.decompress(OUT.read_bytes()).splitlines(keepends=True)


@pytest.fixture(scope="module")
def rows(lines: list[bytes]) -> list[Row]:
    return [json.loads(line) for line in lines]


def test_the_file_is_the_one_that_was_published(lines: list[bytes]) -> None:
    assert hashlib.sha256(b"".join(lines)).hexdigest() == OUT.with_name("sha256").read_text().strip()
    assert OUT.stat().st_size < 12e6


def test_every_category_has_a_thousand_rows_and_the_right_label(rows: list[Row]) -> None:
    assert Counter(row["category"] for row in rows) == dict.fromkeys(LABELS, WANTED)
    assert {(row["category"], row["label"]) for row in rows} == set(LABELS.items())
    from_dev = Counter(row["category"] for row in rows if row["id"].startswith("dev-"))
    assert max(from_dev.values()) == FROM_DEV
    assert len({row["id"] for row in rows}) == len(rows)
    assert len({(row["label"], row["text"]) for row in rows}) == len(rows)
    assert not {row["text"] for row in rows if row["label"] == "abuse"} & {
        row["text"] for row in rows if row["label"] == "benign"
    }, "a text cannot be both"


def test_own_cases_are_in_many_languages_and_encodings(rows: list[Row]) -> None:
    own = [row for row in rows if row["id"].startswith("suite-")]
    spoken = {"en", "de", "fr", "es", "it", "pt", "nl", "pl", "tr", "ru", "ar", "hi", "zh", "ja", "ko", "vi"}
    assert {row["language"] for row in own} == spoken
    for category in ("obfuscated", "benign_encoded"):
        families = {row["source"].removeprefix(f"suite_{category}_") for row in own if row["category"] == category}
        assert families == set(ENCODERS)


@pytest.mark.parametrize("category", LABELS)
def test_cases_follow_from_the_seed(category: str) -> None:
    first, again, other = (list(itertools.islice(cases(category, seed), 20)) for seed in ("a", "a", "b"))
    assert first == again != other
    assert all(case.text.strip() and case.category == category for case in first)


def test_an_indirect_injection_stands_in_a_document(rows: list[Row]) -> None:
    own = [row for row in rows if row["source"].startswith("suite_prompt_injection_indirect")]
    assert all(len(row["text"]) > 60 for row in own)


@pytest.mark.timeout(1200)
@pytest.mark.skipif(not DATA.exists(), reason=f"{DATA} is not here, and the suite is made from its files")
def test_building_it_again_gives_the_same_rows(rows: list[Row]) -> None:
    made = build_from(DATA)
    assert made.digest() == OUT.with_name("sha256").read_text().strip()
    assert list(made.rows) == rows
