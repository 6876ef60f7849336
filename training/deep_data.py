"""What the deep tier learns from: one or two windows of each row as tokens, and the lower layers' output for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from customhouse.governance.abuse.deep_tier import BOS, EOS
from customhouse.governance.abuse.fast_tier import FastTier
from customhouse.governance.text.view import view_of
from training.data import Row

MAX_TOKENS = 80
MAX_TEXT = 8_000


@dataclass(frozen=True, slots=True)
class Sequences:
    """Token ids of all windows in one line, with where each begins, and the row it is of."""

    ids: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]

    def of(self, index: int) -> npt.NDArray[np.int32]:
        return self.ids[self.starts[index] : self.starts[index + 1]]

    def save(self, path: Path) -> None:
        np.savez(path, ids=self.ids, starts=self.starts, row=self.row)

    @classmethod
    def read(cls, path: Path) -> Sequences:
        with np.load(path) as stored:
            return cls(stored["ids"], stored["starts"], stored["row"])


def sequences_of(rows: Sequence[Row], tier: FastTier, tokenizer: Tokenizer, seed: int) -> Sequences:
    """Of an abusive row the window that holds its focus, or else the one that the fast tier finds worst; of a benign
    row the worst window and one at random, for the deep tier is asked about the worst ones."""
    draw = np.random.default_rng(seed)
    ids: list[int] = []
    starts = [0]
    owner: list[int] = []
    for index, row in enumerate(rows):
        for text in _windows(row, tier, draw):
            found = tokenizer.encode(text, add_special_tokens=False).ids
            room = MAX_TOKENS - 2
            if len(found) > room:
                at = int(draw.integers(0, len(found) - room + 1)) if not row.focus else 0
                found = found[at : at + room]
            ids += [BOS, *found, EOS]
            starts.append(len(ids))
            owner.append(index)
    return Sequences(np.array(ids, dtype=np.int32), np.array(starts), np.array(owner))


def _windows(row: Row, tier: FastTier, draw: np.random.Generator) -> list[str]:
    view = view_of(row.text[:MAX_TEXT])
    readings = [(view.normalized, tier.read(view.normalized))]
    readings += [(form.text, tier.read(form.text, is_decoded=True)) for form in view.forms]
    if row.focus:
        at = row.text.find(row.focus)
        middle = at + len(row.focus) // 2
        return [row.text[max(0, middle - draw.integers(60, 220)) : middle + draw.integers(60, 220)]]
    ranked = sorted(
        (
            (float(seen.logits[k]), text[start:end])
            for text, seen in readings
            for k, (start, end) in enumerate(seen.windows)
        ),
        key=lambda each: -each[0],
    )
    if row.is_abuse or len(ranked) == 1:
        return [ranked[0][1]]
    return [ranked[0][1], ranked[int(draw.integers(1, len(ranked)))][1]]
