"""The log tables, partitioned by month, with partitions for this month and the three after it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
MONEY = sa.Numeric(20, 10)
BY_MONTH: dict[str, Any] = {"postgresql_partition_by": "RANGE (created_at)"}
TABLES = (
    "code_exec_logs",
    "event_logs",
    "governance_events",
    "model_cost_logs",
    "prompt_sim_logs",
    "trace_spans",
)
MONTHS = 4


def upgrade() -> None:
    op.create_table(
        "code_exec_logs",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("organization_id", sa.UUID(), nullable=False),
        sa.Column("invocation_id", sa.UUID()),
        sa.Column("agent_id", sa.Text()),
        sa.Column("user_id", sa.Text()),
        sa.Column("workflow_execution_id", sa.Text()),
        sa.Column("node_id", sa.Text()),
        sa.Column("language", sa.Text()),
        sa.Column("exit_code", sa.Integer()),
        sa.Column("duration_ms", sa.Double()),
        sa.Column("details", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("usd_cost", MONEY),
        sa.Column("similarity_score", sa.Double()),
        sa.PrimaryKeyConstraint("id", "created_at", name="pk_code_exec_logs"),
        **BY_MONTH,
    )
    op.create_index("ix_code_exec_logs_organization_id_created_at", "code_exec_logs", ["organization_id", "created_at"])
    op.create_table(
        "event_logs",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("organization_id", sa.UUID(), nullable=False),
        sa.Column("invocation_id", sa.UUID()),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text()),
        sa.Column("user_id", sa.Text()),
        sa.Column("workflow_execution_id", sa.Text()),
        sa.Column("node_id", sa.Text()),
        sa.Column("details", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("usd_cost", MONEY),
        sa.Column("similarity_score", sa.Double()),
        sa.PrimaryKeyConstraint("id", "created_at", name="pk_event_logs"),
        **BY_MONTH,
    )
    op.create_index("ix_event_logs_organization_id_created_at", "event_logs", ["organization_id", "created_at"])
    op.create_table(
        "governance_events",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text()),
        sa.Column("action", sa.Text()),
        sa.Column("user_id", sa.Text()),
        sa.Column("organization_id", sa.UUID(), nullable=False),
        sa.Column("invocation_id", sa.UUID()),
        sa.Column("details", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.PrimaryKeyConstraint("id", "created_at", name="pk_governance_events"),
        **BY_MONTH,
    )
    op.create_index("ix_governance_events_invocation_id", "governance_events", ["invocation_id"])
    op.create_index(
        "ix_governance_events_organization_id_created_at", "governance_events", ["organization_id", "created_at"]
    )
    op.create_table(
        "model_cost_logs",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("organization_id", sa.UUID(), nullable=False),
        sa.Column("invocation_id", sa.UUID(), nullable=False),
        sa.Column("attempt_number", sa.Integer(), nullable=False),
        sa.Column("agent_id", sa.Text()),
        sa.Column("user_id", sa.Text()),
        sa.Column("workflow_execution_id", sa.Text()),
        sa.Column("node_id", sa.Text()),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("deployment_id", sa.Text(), nullable=False),
        sa.Column("attempt_status", sa.Text(), nullable=False),
        sa.Column("tokens_input", sa.BigInteger(), nullable=False),
        sa.Column("tokens_output", sa.BigInteger(), nullable=False),
        sa.Column("usage_estimated", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("usd_cost", MONEY),
        sa.Column("price_source", sa.Text()),
        sa.PrimaryKeyConstraint("id", "created_at", name="pk_model_cost_logs"),
        sa.UniqueConstraint(
            "invocation_id",
            "attempt_number",
            "created_at",
            name="uq_model_cost_logs_invocation_id_attempt_number_created_at",
        ),
        **BY_MONTH,
    )
    op.create_index(
        "ix_model_cost_logs_organization_id_agent_id", "model_cost_logs", ["organization_id", "agent_id", "created_at"]
    )
    op.create_index(
        "ix_model_cost_logs_organization_id_created_at_id", "model_cost_logs", ["organization_id", "created_at", "id"]
    )
    op.create_index(
        "ix_model_cost_logs_organization_id_workflow",
        "model_cost_logs",
        ["organization_id", "workflow_execution_id", "created_at"],
    )
    op.create_table(
        "prompt_sim_logs",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("invocation_id", sa.UUID()),
        sa.Column("prompt_hash", sa.Text(), nullable=False),
        sa.Column("similarity_score", sa.Double()),
        sa.Column("matched_prompt_hash", sa.Text()),
        sa.Column("blocked", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("user_id", sa.Text()),
        sa.Column("organization_id", sa.UUID(), nullable=False),
        sa.PrimaryKeyConstraint("id", "created_at", name="pk_prompt_sim_logs"),
        **BY_MONTH,
    )
    op.create_index(
        "ix_prompt_sim_logs_organization_id_created_at", "prompt_sim_logs", ["organization_id", "created_at"]
    )
    op.create_table(
        "trace_spans",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("organization_id", sa.UUID(), nullable=False),
        sa.Column("invocation_id", sa.UUID(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("duration_ms", sa.Double(), nullable=False),
        sa.Column("attributes", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.PrimaryKeyConstraint("id", "created_at", name="pk_trace_spans"),
        **BY_MONTH,
    )
    op.create_index("ix_trace_spans_invocation_id", "trace_spans", ["invocation_id"])
    make_partitions()


def make_partitions() -> None:
    """As `customhouse.storage.partitions` makes them at the time of this revision; a revision stands by itself."""
    today = datetime.now(UTC)
    first = today.year * 12 + today.month - 1
    for table in TABLES:
        op.execute(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")
        for month in range(first, first + MONTHS):
            start, end = (f"{m // 12:04d}-{m % 12 + 1:02d}-01 00:00:00+00" for m in (month, month + 1))
            name = f"{table}_y{month // 12:04d}m{month % 12 + 1:02d}"
            op.execute(f"CREATE TABLE {name} PARTITION OF {table} FOR VALUES FROM ('{start}') TO ('{end}')")


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
