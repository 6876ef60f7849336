"""An index of the attempts that are open: few at any time, and housekeeping looks for those that nobody will close."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_attempts_open", "attempts", ["invocation_id"], postgresql_where=sa.text("status = 'started'"))


def downgrade() -> None:
    op.drop_index("ix_attempts_open", "attempts")
