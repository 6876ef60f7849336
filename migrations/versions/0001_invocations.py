"""Organizations with their keys, invocations with their attempts, contents, the audit log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
MONEY = sa.Numeric(20, 10)


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS vector")
    op.create_table(
        "organizations",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_organizations"),
        sa.UniqueConstraint("name", name="uq_organizations_name"),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("organization_id", sa.UUID(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", TIME),
        sa.Column("revoked_at", TIME),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_api_keys_organization_id_organizations"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("secret_hash", name="uq_api_keys_secret_hash"),
    )
    op.create_index("ix_api_keys_organization_id", "api_keys", ["organization_id"])
    op.create_table(
        "audit_logs",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("organization_id", sa.UUID(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("event_type", sa.Text()),
        sa.Column("policy", sa.Text()),
        sa.Column("details", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("previous_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_audit_logs_organization_id_organizations"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_audit_logs"),
        sa.UniqueConstraint("organization_id", "sequence", name="uq_audit_logs_organization_id_sequence"),
    )
    op.create_table(
        "contents",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("organization_id", sa.UUID(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("encrypted", sa.Boolean(), nullable=False),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_contents_organization_id_organizations"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_contents"),
    )
    op.create_index("ix_contents_organization_id", "contents", ["organization_id"])
    op.create_table(
        "invocations",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("organization_id", sa.UUID(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("key_id", sa.UUID()),
        sa.Column("agent_id", sa.Text()),
        sa.Column("user_id", sa.Text()),
        sa.Column("workflow_execution_id", sa.Text()),
        sa.Column("node_id", sa.Text()),
        sa.Column("region", sa.Text()),
        sa.Column("plan", sa.Text()),
        sa.Column("labels", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("stream", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("request", JSONB()),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text()),
        sa.Column("policy_version", sa.Text()),
        sa.Column("decision", JSONB()),
        sa.Column("deployment_id", sa.Text()),
        sa.Column("result", JSONB()),
        sa.Column("error", JSONB()),
        sa.Column("usd_cost", MONEY),
        sa.Column("tokens_input", sa.BigInteger()),
        sa.Column("tokens_output", sa.BigInteger()),
        sa.Column("overhead_ms", sa.Double()),
        sa.Column("provider_ms", sa.Double()),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", TIME),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_invocations_organization_id_organizations"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_invocations"),
        sa.UniqueConstraint(
            "organization_id", "idempotency_key", name="uq_invocations_organization_id_idempotency_key"
        ),
    )
    op.create_index(
        "ix_invocations_organization_id_agent_id",
        "invocations",
        ["organization_id", "agent_id", "created_at", "id"],
        postgresql_where=sa.text("agent_id is not null"),
    )
    op.create_index(
        "ix_invocations_organization_id_created_at_id", "invocations", ["organization_id", "created_at", "id"]
    )
    op.create_index(
        "ix_invocations_organization_id_user_id",
        "invocations",
        ["organization_id", "user_id", "created_at", "id"],
        postgresql_where=sa.text("user_id is not null"),
    )
    op.create_index(
        "ix_invocations_organization_id_workflow",
        "invocations",
        ["organization_id", "workflow_execution_id", "created_at", "id"],
        postgresql_where=sa.text("workflow_execution_id is not null"),
    )
    op.create_index(
        "ix_invocations_unfinished",
        "invocations",
        ["created_at"],
        postgresql_where=sa.text("status in ('accepted', 'running')"),
    )
    op.create_table(
        "attempts",
        sa.Column("invocation_id", sa.UUID(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("organization_id", sa.UUID(), nullable=False),
        sa.Column("deployment_id", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("tokens_input_estimate", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("tokens_input", sa.BigInteger()),
        sa.Column("tokens_output", sa.BigInteger()),
        sa.Column("usage", JSONB()),
        sa.Column("usage_estimated", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("usd_cost", MONEY),
        sa.Column("usd_cost_estimate", MONEY),
        sa.Column("price_source", sa.Text()),
        sa.Column("answer", JSONB()),
        sa.Column("outcome", JSONB()),
        sa.Column("error", JSONB()),
        sa.Column("provider_ms", sa.Double()),
        sa.Column("time_to_first_token_ms", sa.Double()),
        sa.Column("started_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("settled_at", TIME),
        sa.ForeignKeyConstraint(["invocation_id"], ["invocations.id"], name="fk_attempts_invocation_id_invocations"),
        sa.PrimaryKeyConstraint("invocation_id", "number", name="pk_attempts"),
    )
    op.create_index(
        "ix_attempts_succeeded",
        "attempts",
        ["deployment_id", "started_at"],
        postgresql_where=sa.text("status = 'succeeded'"),
    )


def downgrade() -> None:
    """Drops everything but the extension, which others in this database may use."""
    for table in (
        "attempts",
        "invocations",
        "contents",
        "audit_logs",
        "api_keys",
        "organizations",
    ):
        op.drop_table(table)
