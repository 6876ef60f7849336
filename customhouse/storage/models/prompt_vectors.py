"""Prompts as vectors. The text itself is not here.

A prompt's vector is written to `prompt_vectors_staged` with its decision, which costs next to nothing, and moves into
`prompt_vectors`, whose index takes a millisecond for each, in the background.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import Boolean, Index, LargeBinary, func, text
from sqlalchemy.orm import Mapped, mapped_column

from customhouse.storage.models.base import Base, created_at

DIMENSIONS = 256


class PromptVector(Base):
    """One prompt, found by its nearness. Exact copies stand here once.

    Partitioned by organization, not by month as logs are: a search walks one index, in which there are few other
    organizations' prompts.
    """

    __tablename__ = "prompt_vectors"
    __table_args__ = (
        Index("ix_prompt_vectors_organization_id_created_at", "organization_id", "created_at"),
        Index("ix_prompt_vectors_created_at", "created_at", postgresql_using="brin"),
        Index(
            "ix_prompt_vectors_vector",
            "vector",
            postgresql_using="hnsw",
            postgresql_with={"m": 16, "ef_construction": 64},
            postgresql_ops={"vector": "halfvec_cosine_ops"},
        ),
        {"postgresql_partition_by": "HASH (organization_id)"},
    )

    organization_id: Mapped[UUID] = mapped_column(primary_key=True)
    prompt_hash: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[UUID]
    """Of the invocation that it came in first."""
    created_at: Mapped[datetime] = created_at()
    vector: Mapped[Any] = mapped_column(HALFVEC(DIMENSIONS))


class StagedPrompt(Base):
    """A prompt that is not in the index yet: every process holds those in memory, too."""

    __tablename__ = "prompt_vectors_staged"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    """Of the invocation."""
    created_at: Mapped[datetime] = created_at()
    organization_id: Mapped[UUID]
    prompt_hash: Mapped[str]
    vector: Mapped[bytes] = mapped_column(LargeBinary)
    """256 numbers in half precision, little-endian: compared in memory, never by Postgres."""
    user_id: Mapped[str | None]
    agent_id: Mapped[str | None]
    blocked: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))


class BlockedPrompt(Base):
    """A prompt that was blocked for what it asks. Few, so that all of an organization's are compared in memory."""

    __tablename__ = "blocked_prompts"
    __table_args__ = (Index("ix_blocked_prompts_organization_id_changed_at", "organization_id", "changed_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    """Of the invocation."""
    organization_id: Mapped[UUID]
    prompt_hash: Mapped[str]
    vector: Mapped[bytes] = mapped_column(LargeBinary)
    """As in `prompt_vectors_staged`."""
    is_blocked: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    """False once somebody has found that it was blocked wrongly."""
    created_at: Mapped[datetime] = created_at()
    changed_at: Mapped[datetime] = mapped_column(server_default=func.now())
    """Processes ask for what has changed since they last looked."""
