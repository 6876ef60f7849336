"""What the ledger writes of a prompt's similarity, in the transaction that records the decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from customhouse.storage.ids import new_id


@dataclass(frozen=True, slots=True)
class SimilarityRow:
    """A row of `prompt_sim_logs`, and the vector to go with it."""

    prompt_hash: str
    vector: bytes | None
    """Packed; None for a prompt without any text, which nothing is compared with."""
    threshold: float
    similarity_score: float | None = None
    """To the nearest earlier prompt; None where there is none, or none was found in time."""
    matched_prompt_hash: str | None = None
    matched_invocation_id: UUID | None = None
    blocked: bool = False
    is_abuse: bool = False
    """Blocked for what it asks: near-copies are to be found by it."""


def similarity(row: SimilarityRow | None) -> dict[str, Any]:
    """Parameters of the ledger's statements that clear. None: nobody has looked."""
    return {
        "sim_id": new_id(),
        "prompt_hash": None if row is None else row.prompt_hash,
        "prompt_vector": None if row is None else row.vector,
        "similarity_score": None if row is None else row.similarity_score,
        "matched_prompt_hash": None if row is None else row.matched_prompt_hash,
        "matched_invocation_id": None if row is None else row.matched_invocation_id,
        "threshold": None if row is None else row.threshold,
        "prompt_blocked": row is not None and row.blocked,
        "is_abuse": row is not None and row.is_abuse,
    }
