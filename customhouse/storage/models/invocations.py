"""Tenants and their keys, invocations and their attempts, and what is too large for history."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from customhouse.storage.models.base import Base, created_at


class Organization(Base):
    """A tenant."""

    __tablename__ = "organizations"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = created_at()


class ApiKey(Base):
    """A key, stored as the SHA-256 of its secret: keys are 256 random bits, which no table of hashes covers."""

    __tablename__ = "api_keys"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"), index=True)
    name: Mapped[str]
    role: Mapped[str]
    prefix: Mapped[str]
    """The first characters, so that a person can tell keys apart."""
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    created_at: Mapped[datetime] = created_at()
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Invocation(Base):
    """One governed call."""

    __tablename__ = "invocations"
    __table_args__ = (
        UniqueConstraint("organization_id", "idempotency_key"),
        Index("ix_invocations_organization_id_created_at_id", "organization_id", "created_at", "id"),
        Index(
            "ix_invocations_organization_id_agent_id",
            *("organization_id", "agent_id", "created_at", "id"),
            postgresql_where=text("agent_id is not null"),
        ),
        Index(
            "ix_invocations_organization_id_user_id",
            *("organization_id", "user_id", "created_at", "id"),
            postgresql_where=text("user_id is not null"),
        ),
        Index(
            "ix_invocations_organization_id_workflow",
            *("organization_id", "workflow_execution_id", "created_at", "id"),
            postgresql_where=text("workflow_execution_id is not null"),
        ),
        Index("ix_invocations_unfinished", "created_at", postgresql_where=text("status in ('accepted', 'running')")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"))
    idempotency_key: Mapped[str]
    fingerprint: Mapped[str]
    workflow_id: Mapped[str]
    key_id: Mapped[UUID | None]
    agent_id: Mapped[str | None]
    user_id: Mapped[str | None]
    workflow_execution_id: Mapped[str | None]
    node_id: Mapped[str | None]
    region: Mapped[str | None]
    plan: Mapped[str | None]
    labels: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
    """The caller's own metadata."""
    model: Mapped[str]
    stream: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    request: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    """As the provider saw it: with redactions applied. NULL until `clear` has decided."""
    status: Mapped[str]
    verdict: Mapped[str | None]
    policy_version: Mapped[str | None]
    decision: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    deployment_id: Mapped[str | None]
    result: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    """`InvocationResult` without the answer, which the winning attempt holds."""
    error: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    usd_cost: Mapped[Decimal | None]
    tokens_input: Mapped[int | None] = mapped_column(BigInteger)
    tokens_output: Mapped[int | None] = mapped_column(BigInteger)
    overhead_ms: Mapped[float | None] = mapped_column(Double)
    provider_ms: Mapped[float | None] = mapped_column(Double)
    created_at: Mapped[datetime] = created_at()
    finished_at: Mapped[datetime | None]


class Attempt(Base):
    """One call to one deployment. Committed `started` before the provider is called; money is spent per attempt."""

    __tablename__ = "attempts"

    invocation_id: Mapped[UUID] = mapped_column(ForeignKey("invocations.id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    organization_id: Mapped[UUID]
    deployment_id: Mapped[str]
    model: Mapped[str]
    provider: Mapped[str]
    region: Mapped[str]
    lane: Mapped[str]
    status: Mapped[str]
    tokens_input_estimate: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    """What the request is charged with, should the attempt end as `unknown`."""
    tokens_input: Mapped[int | None] = mapped_column(BigInteger)
    tokens_output: Mapped[int | None] = mapped_column(BigInteger)
    usage: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    usage_estimated: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    usd_cost: Mapped[Decimal | None]
    usd_cost_estimate: Mapped[Decimal | None]
    """The same, in money."""
    price_source: Mapped[str | None]
    is_budgeted: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    """Whether it holds a part of a budget: its settlement then settles that too, by a trigger."""
    answer: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    outcome: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    """`AttemptOutcome` without the answer."""
    error: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    provider_ms: Mapped[float | None] = mapped_column(Double)
    time_to_first_token_ms: Mapped[float | None] = mapped_column(Double)
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    settled_at: Mapped[datetime | None]

    __table_args__ = (
        Index(
            "ix_attempts_succeeded",
            *("deployment_id", "started_at"),
            postgresql_where=text("status = 'succeeded'"),
        ),
        Index("ix_attempts_open", "invocation_id", postgresql_where=text("status = 'started'")),
    )


class Content(Base):
    """Content over 128 KiB: the far side of a claim check. Encrypted where a key is set."""

    __tablename__ = "contents"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"), index=True)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    encrypted: Mapped[bool] = mapped_column(Boolean)
    created_at: Mapped[datetime] = created_at()
