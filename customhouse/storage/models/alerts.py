"""Alerts, and what people say of findings."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, func
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from customhouse.storage.models.base import Base, created_at


class AlertRow(Base):
    """One alert with its repeats, and how far its sending has come."""

    __tablename__ = "alerts"
    __table_args__ = (
        Index("ix_alerts_organization_id_first_seen_id", "organization_id", "first_seen", "id"),
        Index("ix_alerts_organization_id_dedup_key", "organization_id", "dedup_key", "first_seen"),
        Index("ix_alerts_due", "notify_after", postgresql_where=sql("notify_after is not null")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"))
    kind: Mapped[str]
    severity: Mapped[str]
    """The severest of its repeats."""
    title: Mapped[str]
    text: Mapped[str] = mapped_column(server_default=sql("''"))
    subject: Mapped[str | None]
    dedup_key: Mapped[str]
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=sql("'{}'::jsonb"))
    invocation_id: Mapped[UUID | None]
    status: Mapped[str] = mapped_column(server_default=sql("'open'"))
    count: Mapped[int] = mapped_column(BigInteger, server_default=sql("1"))
    first_seen: Mapped[datetime] = mapped_column(server_default=func.now())
    last_seen: Mapped[datetime] = mapped_column(server_default=func.now())
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str | None]
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[str | None]
    notify_after: Mapped[datetime | None] = mapped_column(server_default=func.now())
    """When to try to send it next; NULL where nothing is left to send."""
    notified_at: Mapped[datetime | None]
    """When it had reached every place that wants it."""
    notify_attempts: Mapped[int] = mapped_column(Integer, server_default=sql("0"))
    notify_error: Mapped[str | None]
    delivered_to: Mapped[list[Any]] = mapped_column(JSONB, server_default=sql("'[]'::jsonb"))
    """Fingerprints of the places that it has reached, so that a retry tells only the others."""


class Feedback(Base):
    """One mark on a finding, or on an invocation that nothing was found in."""

    __tablename__ = "feedback"
    __table_args__ = (
        Index("ix_feedback_organization_id_created_at_id", "organization_id", "created_at", "id"),
        Index("ix_feedback_invocation_id", "invocation_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = created_at()
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"))
    invocation_id: Mapped[UUID] = mapped_column(ForeignKey("invocations.id"))
    finding: Mapped[int | None] = mapped_column(Integer)
    """Its place in the invocation's findings."""
    check_name: Mapped[str | None]
    kind: Mapped[str | None]
    path: Mapped[str | None]
    """Of the text that was marked, within the request or answer."""
    mark: Mapped[str]
    label: Mapped[str | None]
    category: Mapped[str | None]
    comment: Mapped[str | None]
    role: Mapped[str]
    """Of whoever marked it, at that time."""
    actor: Mapped[str]
