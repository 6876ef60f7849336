"""The encoder's tokenizer, cut down to the pieces that are common: the table is the largest part of the model."""

from __future__ import annotations

import json

from training.encoder import Encoder


def tokenizer_json(encoder: Encoder, size: int) -> str:
    """The first `size` pieces (the vocabulary is in order of frequency) as a tokenizer of the library tokenizers.

    What is cut is written by its parts, as ever with unigrams. NFKC stands for the original's own table, which differs
    from it in a few characters; lone rare characters become unknown.
    """
    unknown = min(score for _, score in encoder.pieces) - 10
    pieces = [
        [piece, score if index > max(encoder.special.values()) else 0.0]
        for index, (piece, score) in enumerate(encoder.pieces)
    ]
    pieces = pieces[:size]
    pieces[encoder.special["unk"]][1] = unknown
    document = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "NFKC"},
                {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "},
            ],
        },
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "Unigram", "unk_id": encoder.special["unk"], "vocab": pieces, "byte_fallback": False},
    }
    return json.dumps(document, ensure_ascii=False)
