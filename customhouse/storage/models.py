"""The tables. Money is NUMERIC, times are UTC, ids are UUIDv7, and every row belongs to an organization.

Log tables are partitioned by month on `created_at` (`partitions.py`), so their primary keys bear it too.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import UUID as PgUUID  # noqa: N811 - it is a type
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

MONEY = Numeric(20, 10)
"""US dollars: a token may cost less than a millionth of one."""

PARTITIONED = {"postgresql_partition_by": "RANGE (created_at)"}


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {
        UUID: PgUUID(as_uuid=True),
        datetime: DateTime(timezone=True),
        Decimal: MONEY,
        str: Text,
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
    }


def created_at(*, primary_key: bool = False) -> Mapped[datetime]:
    return mapped_column(DateTime(timezone=True), server_default=func.now(), primary_key=primary_key)


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
        Index(
            "ix_invocations_unfinished", "created_at", postgresql_where=text("status in ('accepted', 'running')")
        ),
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
    )


class Content(Base):
    """Content over 128 KiB: the far side of a claim check. Encrypted where a key is set."""

    __tablename__ = "contents"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"), index=True)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    encrypted: Mapped[bool] = mapped_column(Boolean)
    created_at: Mapped[datetime] = created_at()


class ModelCostLog(Base):
    """What one attempt cost. One row an attempt, never two: (invocation, number) is the attempt's own key."""

    __tablename__ = "model_cost_logs"
    __table_args__ = (
        UniqueConstraint("invocation_id", "attempt_number", "created_at"),
        Index("ix_model_cost_logs_organization_id_created_at_id", "organization_id", "created_at", "id"),
        Index("ix_model_cost_logs_organization_id_agent_id", "organization_id", "agent_id", "created_at"),
        Index(
            "ix_model_cost_logs_organization_id_workflow", "organization_id", "workflow_execution_id", "created_at"
        ),
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
    __table_args__ = (Index("ix_trace_spans_invocation_id", "invocation_id"), PARTITIONED)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    created_at: Mapped[datetime] = created_at(primary_key=True)
    organization_id: Mapped[UUID]
    invocation_id: Mapped[UUID]
    name: Mapped[str]
    started_at: Mapped[datetime]
    duration_ms: Mapped[float] = mapped_column(Double)
    attributes: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
