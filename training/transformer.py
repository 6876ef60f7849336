"""The encoder in torch: a BERT of which the upper layers are trained, and the lower ones kept as they came."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.encoder import Encoder


class Layer(nn.Module):
    """One block: attention and a feed-forward net, each with a residual and a norm behind it."""

    def __init__(self, hidden: int, heads: int, inner: int, epsilon: float) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.out = nn.Linear(hidden, hidden)
        self.norm1 = nn.LayerNorm(hidden, eps=epsilon)
        self.up = nn.Linear(hidden, inner)
        self.down = nn.Linear(inner, hidden)
        self.norm2 = nn.LayerNorm(hidden, eps=epsilon)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """`x` is (batch, tokens, hidden); `bias` (batch, 1, 1, tokens): 0 at a token, very low at padding."""
        batch, tokens, hidden = x.shape
        size = hidden // self.heads
        q, k, v = self.qkv(x).view(batch, tokens, 3, self.heads, size).permute(2, 0, 3, 1, 4)
        weights = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(size) + bias, dim=-1)
        mixed = (weights @ v).transpose(1, 2).reshape(batch, tokens, hidden)
        x = self.norm1(x + self.out(mixed))
        return self.norm2(x + self.down(functional.gelu(self.up(x))))


def layer_from(encoder: Encoder, index: int) -> Layer:
    """Layer `index` with its weights as they came."""
    hidden = encoder.hidden
    inner = len(encoder.tensors[f"l{index}.fi.b"])
    layer = Layer(hidden, encoder.heads, inner, encoder.epsilon)

    def matrix(name: str, columns: int = hidden) -> Tensor:
        return torch.from_numpy(encoder.matrix(f"l{index}.{name}", columns))

    def vector(name: str) -> Tensor:
        return torch.from_numpy(encoder.tensors[f"l{index}.{name}"].copy())

    with torch.no_grad():
        layer.qkv.weight.copy_(torch.cat([matrix("q.w"), matrix("k.w"), matrix("v.w")]))
        layer.qkv.bias.copy_(torch.cat([vector("q.b"), vector("k.b"), vector("v.b")]))
        layer.out.weight.copy_(matrix("ao.w"))
        layer.out.bias.copy_(vector("ao.b"))
        layer.norm1.weight.copy_(vector("aln.w"))
        layer.norm1.bias.copy_(vector("aln.b"))
        layer.up.weight.copy_(matrix("fi.w"))
        layer.up.bias.copy_(vector("fi.b"))
        layer.down.weight.copy_(matrix("fo.w", inner))
        layer.down.bias.copy_(vector("fo.b"))
        layer.norm2.weight.copy_(vector("oln.w"))
        layer.norm2.bias.copy_(vector("oln.b"))
    return layer


class Embedding(nn.Module):
    """Tokens and their places as vectors. Never trained: the table ships in four bits, as it came."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        hidden = encoder.hidden
        self.words = torch.from_numpy(encoder.matrix("emb.word", hidden))
        places = encoder.matrix("emb.pos", hidden) + encoder.matrix("emb.type", hidden)[0]
        self.places = torch.from_numpy(places)
        self.norm = nn.LayerNorm(hidden, eps=encoder.epsilon)
        with torch.no_grad():
            self.norm.weight.copy_(torch.from_numpy(encoder.tensors["emb.ln.w"].copy()))
            self.norm.bias.copy_(torch.from_numpy(encoder.tensors["emb.ln.b"].copy()))

    def forward(self, ids: Tensor) -> Tensor:
        return self.norm(self.words[ids] + self.places[: ids.shape[1]])


def padded(sequences: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Token ids as one rectangle, and the attention bias that hides its padding."""
    longest = max(len(each) for each in sequences)
    ids = torch.full((len(sequences), longest), pad)
    bias = torch.full((len(sequences), 1, 1, longest), -1e4)
    for row, each in enumerate(sequences):
        ids[row, : len(each)] = torch.tensor(each)
        bias[row, ..., : len(each)] = 0
    return ids, bias


def pooled(x: Tensor, bias: Tensor) -> Tensor:
    """The mean over a text's tokens: (batch, hidden)."""
    mask = (bias[:, 0, 0, :] == 0).to(x.dtype)
    return (x * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
