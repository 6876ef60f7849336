"""Prompts as vectors, and the rest of what a row about similarity says."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import HALFVEC

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
PARTS = 16


def upgrade() -> None:
    op.add_column("prompt_sim_logs", sa.Column("agent_id", sa.Text()))
    op.add_column("prompt_sim_logs", sa.Column("threshold", sa.Double()))
    op.add_column("prompt_sim_logs", sa.Column("matched_invocation_id", sa.UUID()))
    op.create_table(
        "prompt_vectors",
        sa.Column("organization_id", sa.UUID(), nullable=False),
        sa.Column("prompt_hash", sa.Text(), nullable=False),
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("vector", HALFVEC(256), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "prompt_hash", name="pk_prompt_vectors"),
        postgresql_partition_by="HASH (organization_id)",
    )
    op.create_index("ix_prompt_vectors_organization_id_created_at", "prompt_vectors", ["organization_id", "created_at"])
    op.create_index("ix_prompt_vectors_created_at", "prompt_vectors", ["created_at"], postgresql_using="brin")
    op.create_index(
        "ix_prompt_vectors_vector",
        "prompt_vectors",
        ["vector"],
        postgresql_using="hnsw",
        postgresql_with={"m": 16, "ef_construction": 64},
        postgresql_ops={"vector": "halfvec_cosine_ops"},
    )
    for part in range(PARTS):
        op.execute(
            f"CREATE TABLE prompt_vectors_p{part:02d} PARTITION OF prompt_vectors "
            f"FOR VALUES WITH (MODULUS {PARTS}, REMAINDER {part})"
        )
    op.create_table(
        "prompt_vectors_staged",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("organization_id", sa.UUID(), nullable=False),
        sa.Column("prompt_hash", sa.Text(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.Text()),
        sa.Column("agent_id", sa.Text()),
        sa.Column("blocked", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_prompt_vectors_staged"),
    )
    op.create_table(
        "blocked_prompts",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("organization_id", sa.UUID(), nullable=False),
        sa.Column("prompt_hash", sa.Text(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.Column("is_blocked", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.Column("changed_at", TIME, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_blocked_prompts"),
    )
    op.create_index(
        "ix_blocked_prompts_organization_id_changed_at", "blocked_prompts", ["organization_id", "changed_at"]
    )


def downgrade() -> None:
    op.drop_table("blocked_prompts")
    op.drop_table("prompt_vectors_staged")
    op.drop_table("prompt_vectors")
    op.drop_column("prompt_sim_logs", "matched_invocation_id")
    op.drop_column("prompt_sim_logs", "threshold")
    op.drop_column("prompt_sim_logs", "agent_id")
