"""What lists and sums are narrowed to: the part that every log of invocations shares."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement

from customhouse.storage.pages import Moment, Term


class CallerFilter(BaseModel):
    """Who asked, which model, and when. Every field that is set must match the column of its name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    agent_id: Term | None = None
    user_id: Term | None = None
    workflow_execution_id: Term | None = None
    node_id: Term | None = None
    model: Term | None = None
    created_from: Moment | None = None
    """Inclusive."""
    created_to: Moment | None = None
    """Exclusive."""

    def conditions(self, table: Any) -> list[ColumnElement[bool]]:
        """For a mapped class that has the columns."""
        asked = self.model_dump(exclude_none=True, exclude={"created_from", "created_to"})
        conditions: list[ColumnElement[bool]] = [getattr(table, name) == value for name, value in asked.items()]
        if self.created_from is not None:
            conditions.append(table.created_at >= self.created_from)
        if self.created_to is not None:
            conditions.append(table.created_at < self.created_to)
        return conditions
