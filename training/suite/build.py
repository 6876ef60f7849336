"""Puts the suite together: `python -m training.suite.build [--data FOLDER] [--out FILE]`.

A part of the development set, drawn by the seed, and the suite's own cases. Knows no detector. The same inputs give the
same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import itertools
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.suite.cases import GRAMMARS, LABELS, Case, cases
from training.suite.overlap import near_copies

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data" / "abuse"
OUT = Path(__file__).parent / "v1" / "suite.jsonl.gz"

SEED = "customhouse-suite-v1"
WANTED = 1050
"""Rows of each category."""
FROM_DEV = 420
"""At most, of each category: two fifths."""
OVERSUPPLY = 4
LITTLE_OVERSUPPLY = 2
"""Times as many own cases are drawn as are wanted, since near-copies go; of documents and encoded texts few do."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Suite:
    rows: Sequence[Row]
    dropped: Counter[str]
    """Own cases that were left out, by why."""

    def packed(self) -> bytes:
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in self.rows)
        return gzip.compress(lines.encode(), compresslevel=9, mtime=0)

    def digest(self) -> str:
        """Of the rows, whatever version of zlib packs them."""
        whole = hashlib.sha256()
        for row in self.rows:
            whole.update(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        return whole.hexdigest()


def build(dev: Sequence[Row], trained_on: Sequence[str]) -> Suite:
    """`dev`: rows of the development set. `trained_on`: texts that no own case may be like.

    Raises ValueError where a category cannot be filled.
    """
    dropped: Counter[str] = Counter()
    own: list[Case] = []
    for category in LABELS:
        times = OVERSUPPLY if category in GRAMMARS else LITTLE_OVERSUPPLY
        drawn = itertools.islice(cases(category, SEED), times * (WANTED - _share(dev, category)))
        own += _without_copies(list(drawn), dropped)
    texts = [case.text for case in own]
    known = set(trained_on)
    like_trained = near_copies(texts, trained_on)
    like_dev = near_copies(texts, [row["text"] for row in dev])
    rows: list[Row] = []
    for category in LABELS:
        kept = []
        for index, case in enumerate(own):
            if case.category != category:
                continue
            if case.text in known:
                dropped["exactly in training data"] += 1
            elif index in like_trained:
                dropped["like training data"] += 1
            elif index in like_dev:
                dropped["like the development set"] += 1
            else:
                kept.append(case)
        part = _drawn(dev, category)
        missing = WANTED - len(part)
        if len(kept) < missing:
            raise ValueError(f"{category}: {len(kept)} own cases are left, {missing} are needed. Add alternatives.")
        rows += part + [_row(case) for case in _spread(kept, missing, category)]
    return Suite(rows, dropped)


def _without_copies(drawn: list[Case], dropped: Counter[str]) -> list[Case]:
    unique = list({case.text: case for case in drawn}.values())
    dropped["drawn twice"] += len(drawn) - len(unique)
    copies = near_copies([case.text for case in unique])
    dropped["like another own case"] += len(copies)
    return [case for index, case in enumerate(unique) if index not in copies]


def _spread(kept: list[Case], wanted: int, category: str) -> list[Case]:
    """By turns from each family and language, so that what is easily varied does not crowd out the rest."""
    random.Random(f"{SEED}:spread:{category}").shuffle(kept)  # noqa: S311
    turns: Counter[tuple[str, str]] = Counter()
    ranked: list[tuple[float, int, Case]] = []
    for case in kept:
        group = (case.family, case.language)
        turns[group] += 1
        # English has more shapes in each family than the others have: three of its turns to one of theirs.
        ranked.append((turns[group] / (3 if case.language == "en" else 1), len(ranked), case))
    return [case for _, _, case in sorted(ranked, key=lambda each: each[:2])[:wanted]]


def _share(dev: Sequence[Row], category: str) -> int:
    return min(FROM_DEV, len([row for row in dev if row["category"] == category]))


def _drawn(dev: Sequence[Row], category: str) -> list[Row]:
    """A stratified sample: each source has its share, by largest remainders."""
    chance = random.Random(f"{SEED}:dev:{category}")  # noqa: S311
    sources: dict[str, list[Row]] = {}
    for row in dev:
        if row["category"] == category:
            sources.setdefault(row["source"], []).append(row)
    total, wanted = sum(map(len, sources.values())), _share(dev, category)
    exact = {name: wanted * len(rows) / total for name, rows in sources.items()}
    taken = {name: int(each) for name, each in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (taken[name] - exact[name], name))
    for name in by_remainder[: wanted - sum(taken.values())]:
        taken[name] += 1
    return [row for name in sorted(sources) for row in chance.sample(sources[name], taken[name])]


def _row(case: Case) -> Row:
    name = hashlib.sha256(f"{case.category}\n{case.text}".encode()).hexdigest()[:12]
    return {
        "id": f"suite-{name}", "text": case.text, "label": case.label, "category": case.category,
        "source": f"suite_{case.category}_{case.family}", "language": case.language,
    }  # fmt: skip


def read(path: Path) -> list[Row]:
    with path.open(encoding="utf-8") as file:  # not splitlines: some texts hold other line ends than \n
        return [json.loads(line) for line in file]


def build_from(data: Path) -> Suite:
    trained_on = [row["text"] for name in ("train", "train2") for row in read(data / f"{name}.jsonl")]
    return build(read(data / "dev.jsonl"), trained_on)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.suite.build", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    made = build_from(given.data)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_bytes(made.packed())
    given.out.with_name("sha256").write_text(made.digest() + "\n")
    counts = Counter((row["category"], "dev" if str(row["id"]).startswith("dev-") else "own") for row in made.rows)
    for category, label in LABELS.items():
        print(f"{category:28} {label:7} {counts[category, 'dev']:5} {counts[category, 'own']:5}")
    print(f"Left out: {dict(made.dropped)}")
    print(f"{len(made.rows)} rows, {given.out.stat().st_size / 1e6:.1f} MB, sha256 {made.digest()}")


if __name__ == "__main__":
    main()
