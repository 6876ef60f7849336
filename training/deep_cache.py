"""Runs the layers that are not trained, once for all windows, and keeps what they give: most of the training's cost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from training.deep_data import Sequences
from training.encoder import Encoder
from training.transformer import Embedding, layer_from, padded

BATCH_TOKENS = 2_048


def batches_of(lengths: np.ndarray, batch_tokens: int) -> list[np.ndarray]:
    """Indexes in batches of like length, each of some `batch_tokens` with its padding."""
    order = np.argsort(lengths, kind="stable")
    batches: list[np.ndarray] = []
    first = 0
    for at in range(1, len(order) + 1):
        if at == len(order) or (at - first + 1) * lengths[order[at]] > batch_tokens:
            batches.append(order[first:at])
            first = at
    return batches


def cache(sequences: Sequences, encoder: Encoder, layers: int, path: Path, shard: int, shards: int) -> None:
    """Writes one shard of the vectors after `layers` layers, (tokens, hidden) in 16 bits, into the file at `path`."""
    embedding = Embedding(encoder)
    blocks = [layer_from(encoder, index) for index in range(layers)]
    lengths = np.diff(sequences.starts)
    out = np.memmap(path, dtype=np.float16, mode="r+", shape=(len(sequences.ids), encoder.hidden))
    with torch.inference_mode():
        for batch in batches_of(lengths, BATCH_TOKENS)[shard::shards]:
            ids, bias = padded([sequences.of(int(index)).tolist() for index in batch], encoder.special["pad"])
            x = embedding(ids)
            for block in blocks:
                x = block(x, bias)
            for row, index in enumerate(batch):
                start, end = sequences.starts[index], sequences.starts[index + 1]
                out[start:end] = x[row, : end - start].half().numpy()
    out.flush()
