"""Trains the upper layers and the heads on what the lower ones gave, and writes scores for the windows left out."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from customhouse.governance.abuse.patterns import CATEGORIES
from training.data import Row, weights_of
from training.deep_cache import batches_of
from training.deep_data import Sequences
from training.encoder import Encoder
from training.transformer import layer_from, pooled

SMOOTHING = 0.04
CATEGORY_SHARE = 0.25
BATCH = 48
LAYER_RATE, HEAD_RATE = 1e-4, 1e-3
AVERAGE = 0.99
"""How slowly the averaged weights, which are what is kept, follow the trained ones, a step."""


class Upper(nn.Module):
    """The trained layers, then one score of abuse and one of each category, from the mean and the weightiest tokens."""

    def __init__(self, encoder: Encoder, first: int, last: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(layer_from(encoder, index) for index in range(first, last))
        self.attend = nn.Linear(encoder.hidden, 1)
        self.drop = nn.Dropout(0.1)
        self.head = nn.Linear(2 * encoder.hidden, 1 + len(CATEGORIES))

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x, bias)
        weights = torch.softmax(self.attend(x).squeeze(-1) + bias[:, 0, 0, :], dim=-1)
        weighty = (weights.unsqueeze(1) @ x).squeeze(1)
        found: Tensor = self.head(self.drop(torch.cat([pooled(x, bias), weighty], dim=-1)))
        return found


@dataclass(frozen=True, slots=True)
class Windows:
    """The cached vectors of all windows."""

    sequences: Sequences
    vectors: npt.NDArray[np.float16]

    def batch(self, indexes: Sequence[int] | npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        starts, ends = self.sequences.starts[indexes], self.sequences.starts[np.asarray(indexes) + 1]
        longest = int((ends - starts).max())
        x = torch.zeros(len(starts), longest, self.vectors.shape[1])
        bias = torch.full((len(starts), 1, 1, longest), -1e4)
        for row, (start, end) in enumerate(zip(starts, ends, strict=True)):
            x[row, : end - start] = torch.from_numpy(self.vectors[start:end].astype(np.float32))
            bias[row, ..., : end - start] = 0
        return x, bias


def train(
    windows: Windows,
    rows: Sequence[Row],
    taken: npt.NDArray[np.bool_],
    encoder: Encoder,
    layers: tuple[int, int],
    *,
    steps: int,
    seed: int,
    start: Mapping[str, Tensor] | None = None,
    checkpoint: Path | None = None,
) -> Upper:
    """The averaged model after `steps` steps of BATCH windows of the taken rows, drawn so that sources count alike.

    `start`: weights of an earlier run, to go on from."""
    torch.manual_seed(seed)
    draw = np.random.default_rng(seed)
    model = Upper(encoder, *layers)
    if start is not None:
        model.load_state_dict(start)
    average = copy.deepcopy(model).eval()
    optimizer = torch.optim.AdamW(
        [
            {"params": model.blocks.parameters(), "lr": LAYER_RATE},
            {"params": [*model.attend.parameters(), *model.head.parameters()], "lr": HEAD_RATE},
        ],
        weight_decay=0.01,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, (step + 1) / 30) * (1 - step / steps) + 0.02
    )
    owner = windows.sequences.row
    share = np.array(weights_of(rows)) / np.maximum(np.bincount(owner, minlength=len(rows)), 1)
    chance = share[owner] * taken[owner]
    chance /= chance.sum()
    labels = np.array([row.is_abuse for row in rows], dtype=np.float32)
    kinds = np.array([CATEGORIES.index(row.category) if row.is_abuse else -1 for row in rows])  # type: ignore[arg-type]
    lengths = np.diff(windows.sequences.starts)
    running = 0.0
    for step in range(steps):
        # Drawn a few batches' worth at once and dealt by length: less padding, and still random.
        if step % 8 == 0:
            drawn = draw.choice(len(owner), BATCH * 8, p=chance)
            dealt = np.array_split(drawn[np.argsort(lengths[drawn])], 8)
            draw.shuffle(dealt)
        chosen = dealt[step % 8]
        x, bias = windows.batch(chosen)
        scores = model(x, bias)
        target = torch.from_numpy(labels[owner[chosen]]) * (1 - 2 * SMOOTHING) + SMOOTHING
        loss = functional.binary_cross_entropy_with_logits(scores[:, 0], target)
        kind = torch.from_numpy(kinds[owner[chosen]])
        if bool((kind >= 0).any()):
            loss = loss + CATEGORY_SHARE * functional.cross_entropy(scores[:, 1:], kind, ignore_index=-1)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        decay = min(AVERAGE, (step + 1) / (step + 10))
        with torch.no_grad():
            for kept, new in zip(average.parameters(), model.parameters(), strict=True):
                kept.lerp_(new, 1 - decay)
        running = loss.item() if step == 0 else 0.98 * running + 0.02 * loss.item()
        if math.isnan(running):
            raise FloatingPointError(f"The loss is no number at step {step}: lower the learning rate.")
        if step % 25 == 0:
            print(f"step {step} of {steps}, loss {running:.3f}", flush=True)
            if checkpoint:
                torch.save(average.state_dict(), checkpoint)
    if checkpoint:
        torch.save(average.state_dict(), checkpoint)
    return average


def scores_of(model: Upper, windows: Windows, indexes: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """(indexes, 1 + categories)."""
    found = np.zeros((len(indexes), 1 + len(CATEGORIES)), dtype=np.float32)
    lengths = np.diff(windows.sequences.starts)[indexes]
    with torch.inference_mode():
        for batch in batches_of(lengths, 4_096):
            found[batch] = model(*windows.batch(indexes[batch])).numpy()
    return found
