"""Rate limits, and who is kept out."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Boolean, ForeignKey, Index, Integer, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from customhouse.storage.models.base import Base, created_at


class RateLimit(Base):
    """At most `amount` of a metric in any window of `window_s` seconds."""

    __tablename__ = "rate_limits"
    __table_args__ = (UniqueConstraint("organization_id", "scope", "subject", "metric", "window_s"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"))
    scope: Mapped[str]
    subject: Mapped[str]
    """An id, or `*` for each one of the scope."""
    metric: Mapped[str]
    amount: Mapped[Decimal]
    window_s: Mapped[int] = mapped_column(Integer)
    updated_by: Mapped[str]
    """As the audit log names who did it."""
    updated_at: Mapped[datetime] = created_at()
    created_at: Mapped[datetime] = created_at()


class Block(Base):
    """One entry of a block list. Taken away, it stays as a row: what was refused then names it."""

    __tablename__ = "blocks"
    __table_args__ = (
        Index("ix_blocks_organization_id_created_at_id", "organization_id", "created_at", "id"),
        Index("ix_blocks_standing", "organization_id", postgresql_where=text("removed_at is null")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"))
    effect: Mapped[str]
    kind: Mapped[str]
    subject: Mapped[str]
    network: Mapped[str | None]
    reason: Mapped[str]
    automatic: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    created_by: Mapped[str]
    created_at: Mapped[datetime] = created_at()
    expires_at: Mapped[datetime | None]
    removed_at: Mapped[datetime | None]
    removed_by: Mapped[str | None]
