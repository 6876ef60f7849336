"""Alerts with their sending, feedback on findings, and a way to the abuse check's scores of the last day."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("organization_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("subject", sa.Text()),
        sa.Column("dedup_key", sa.Text(), nullable=False),
        sa.Column("details", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("invocation_id", sa.UUID()),
        sa.Column("status", sa.Text(), server_default=sa.text("'open'"), nullable=False),
        sa.Column("count", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("first_seen", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("last_seen", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("acknowledged_at", TIME),
        sa.Column("acknowledged_by", sa.Text()),
        sa.Column("closed_at", TIME),
        sa.Column("closed_by", sa.Text()),
        sa.Column("notify_after", TIME, server_default=sa.text("now()")),
        sa.Column("notified_at", TIME),
        sa.Column("notify_attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("notify_error", sa.Text()),
        sa.Column("delivered_to", JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_alerts_organization_id_organizations"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_alerts"),
    )
    op.create_index("ix_alerts_organization_id_first_seen_id", "alerts", ["organization_id", "first_seen", "id"])
    op.create_index("ix_alerts_organization_id_dedup_key", "alerts", ["organization_id", "dedup_key", "first_seen"])
    op.create_index("ix_alerts_due", "alerts", ["notify_after"], postgresql_where=sa.text("notify_after is not null"))
    op.create_table(
        "feedback",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("organization_id", sa.UUID(), nullable=False),
        sa.Column("invocation_id", sa.UUID(), nullable=False),
        sa.Column("finding", sa.Integer()),
        sa.Column("check_name", sa.Text()),
        sa.Column("kind", sa.Text()),
        sa.Column("path", sa.Text()),
        sa.Column("mark", sa.Text(), nullable=False),
        sa.Column("label", sa.Text()),
        sa.Column("category", sa.Text()),
        sa.Column("comment", sa.Text()),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_feedback_organization_id_organizations"
        ),
        sa.ForeignKeyConstraint(["invocation_id"], ["invocations.id"], name="fk_feedback_invocation_id_invocations"),
        sa.PrimaryKeyConstraint("id", name="pk_feedback"),
    )
    op.create_index("ix_feedback_organization_id_created_at_id", "feedback", ["organization_id", "created_at", "id"])
    op.create_index("ix_feedback_invocation_id", "feedback", ["invocation_id"])
    op.create_index(
        "ix_trace_spans_check_abuse",
        "trace_spans",
        ["organization_id", "created_at"],
        postgresql_where=sa.text("name = 'check.abuse'"),
    )


def downgrade() -> None:
    op.drop_index("ix_trace_spans_check_abuse", "trace_spans")
    op.drop_table("feedback")
    op.drop_table("alerts")
