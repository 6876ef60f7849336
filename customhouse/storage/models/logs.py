"""The logs. All but the audit log are partitioned by month on `created_at`, so their primary keys bear it too."""

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
    Identity,
    Index,
    LargeBinary,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from customhouse.storage.models.base import PARTITIONED, Base, created_at


class ModelCostLog(Base):
    """What one attempt cost. One row an attempt, never two: (invocation, number) is the attempt's own key."""

    __tablename__ = "model_cost_logs"
    __table_args__ = (
        UniqueConstraint("invocation_id", "attempt_number", "created_at"),
        Index("ix_model_cost_logs_organization_id_created_at_id", "organization_id", "created_at", "id"),
        Index("ix_model_cost_logs_organization_id_agent_id", "organization_id", "agent_id", "created_at"),
        Index("ix_model_cost_logs_organization_id_workflow", "organization_id", "workflow_execution_id", "created_at"),
        PARTITIONED,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = created_at(primary_key=True)
    organization_id: Mapped[UUID]
    invocation_id: Mapped[UUID]
    attempt_number: Mapped[int]
    agent_id: Mapped[str | None]
    user_id: Mapped[str | None]
    workflow_execution_id: Mapped[str | None]
    node_id: Mapped[str | None]
    model: Mapped[str]
    provider: Mapped[str]
    region: Mapped[str]
    deployment_id: Mapped[str]
    attempt_status: Mapped[str]
    tokens_input: Mapped[int] = mapped_column(BigInteger)
    tokens_output: Mapped[int] = mapped_column(BigInteger)
    usage_estimated: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    usd_cost: Mapped[Decimal | None]
    """NULL where the price is not known; a governance event says so."""
    price_source: Mapped[str | None]
    """`catalog`, `genai-prices <version>`, or NULL."""


class PromptSimLog(Base):
    """How near a prompt came to an earlier one."""

    __tablename__ = "prompt_sim_logs"
    __table_args__ = (
        Index("ix_prompt_sim_logs_organization_id_created_at", "organization_id", "created_at"),
        PARTITIONED,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = created_at(primary_key=True)
    invocation_id: Mapped[UUID | None]
    prompt_hash: Mapped[str]
    similarity_score: Mapped[float | None] = mapped_column(Double)
    matched_prompt_hash: Mapped[str | None]
    blocked: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    user_id: Mapped[str | None]
    organization_id: Mapped[UUID]
    agent_id: Mapped[str | None]
    threshold: Mapped[float | None] = mapped_column(Double)
    """From which score on the two would have counted as copies, when the prompt came."""
    matched_invocation_id: Mapped[UUID | None]


class GovernanceEvent(Base):
    """Something that governance did: a finding acted on, a price missing, an attempt closed as unknown."""

    __tablename__ = "governance_events"
    __table_args__ = (
        Index("ix_governance_events_organization_id_created_at", "organization_id", "created_at"),
        Index("ix_governance_events_invocation_id", "invocation_id"),
        PARTITIONED,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = created_at(primary_key=True)
    event_type: Mapped[str]
    policy: Mapped[str | None]
    action: Mapped[str | None]
    user_id: Mapped[str | None]
    organization_id: Mapped[UUID]
    invocation_id: Mapped[UUID | None]
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))


class EventLog(Base):
    """What an agent reports of its own run."""

    __tablename__ = "event_logs"
    __table_args__ = (Index("ix_event_logs_organization_id_created_at", "organization_id", "created_at"), PARTITIONED)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = created_at(primary_key=True)
    organization_id: Mapped[UUID]
    invocation_id: Mapped[UUID | None]
    event_type: Mapped[str]
    agent_id: Mapped[str | None]
    user_id: Mapped[str | None]
    workflow_execution_id: Mapped[str | None]
    node_id: Mapped[str | None]
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
    usd_cost: Mapped[Decimal | None]
    similarity_score: Mapped[float | None] = mapped_column(Double)


class CodeExecLog(Base):
    """Code that an agent ran."""

    __tablename__ = "code_exec_logs"
    __table_args__ = (
        Index("ix_code_exec_logs_organization_id_created_at", "organization_id", "created_at"),
        PARTITIONED,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = created_at(primary_key=True)
    organization_id: Mapped[UUID]
    invocation_id: Mapped[UUID | None]
    agent_id: Mapped[str | None]
    user_id: Mapped[str | None]
    workflow_execution_id: Mapped[str | None]
    node_id: Mapped[str | None]
    language: Mapped[str | None]
    exit_code: Mapped[int | None]
    duration_ms: Mapped[float | None] = mapped_column(Double)
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
    usd_cost: Mapped[Decimal | None]
    similarity_score: Mapped[float | None] = mapped_column(Double)


class AuditLog(Base):
    """What people and keys changed, hash-chained: each row's hash covers the row and the hash before it.

    Not partitioned: a chain with a dropped link proves nothing.
    """

    __tablename__ = "audit_logs"
    __table_args__ = (UniqueConstraint("organization_id", "sequence"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"))
    sequence: Mapped[int] = mapped_column(BigInteger)
    """1, 2, 3, … within the organization."""
    actor: Mapped[str]
    action: Mapped[str]
    target: Mapped[str]
    event_type: Mapped[str | None]
    policy: Mapped[str | None]
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
    previous_hash: Mapped[bytes] = mapped_column(LargeBinary)
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = created_at()


class TraceSpan(Base):
    """One recorded step of an invocation's trace."""

    __tablename__ = "trace_spans"
    __table_args__ = (
        Index("ix_trace_spans_invocation_id", "invocation_id"),
        # Scores of the last day, which the drift alarm reads every hour.
        Index(
            "ix_trace_spans_check_abuse",
            *("organization_id", "created_at"),
            postgresql_where=text("name = 'check.abuse'"),
        ),
        PARTITIONED,
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    created_at: Mapped[datetime] = created_at(primary_key=True)
    organization_id: Mapped[UUID]
    invocation_id: Mapped[UUID]
    name: Mapped[str]
    started_at: Mapped[datetime]
    duration_ms: Mapped[float] = mapped_column(Double)
    attributes: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
