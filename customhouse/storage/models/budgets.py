"""Budgets, what is used and held of them in each period, and what each attempt holds.

Only the functions of migration 0004 write to the periods and reservations while invocations run.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Boolean, ForeignKey, Index, Integer, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from customhouse.storage.models.base import MONEY, Base, created_at

_NONE = text("'{}'::integer[]")


class Budget(Base):
    """An amount for a time, and whose spending it bounds. Never deleted, since what it counted stands."""

    __tablename__ = "budgets"
    __table_args__ = (
        Index(
            "ix_budgets_organization_id_scope_id",
            *("organization_id", "scope_id"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id"))
    name: Mapped[str]
    scope: Mapped[str]
    scope_id: Mapped[str]
    """One agent, user, key or run; `*`: each of them has this budget to itself."""
    period: Mapped[str]
    amount_usd: Mapped[Decimal]
    hard: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    """Calls without room are refused; otherwise they are only counted and alerted on."""
    soft_percent: Mapped[list[int]] = mapped_column(ARRAY(Integer), server_default=text("'{80}'::integer[]"))
    unpriced: Mapped[str] = mapped_column(server_default=text("'refuse'::text"))
    created_at: Mapped[datetime] = created_at()
    counts_from: Mapped[datetime]
    """Spending before it is not counted: the begin of the period that the budget was made in."""
    counted_at: Mapped[datetime | None]
    """When the spending between `counts_from` and the budget's creation was added."""
    deleted_at: Mapped[datetime | None]


class BudgetPeriod(Base):
    """One period of one subject's budget."""

    __tablename__ = "budget_periods"
    __table_args__ = (
        Index("ix_budget_periods_due", "budget_id", postgresql_where=text("NOT (crossed <@ alerted)")),
        # Each call updates its row twice; room on the page keeps those updates away from the indexes.
        {"postgresql_with": {"fillfactor": 50}},
    )

    budget_id: Mapped[UUID] = mapped_column(ForeignKey("budgets.id"), primary_key=True)
    period: Mapped[str] = mapped_column(primary_key=True)
    """`2026-11-24`, `2026-11`, or the run's id."""
    subject: Mapped[str] = mapped_column(primary_key=True)
    """Whose: the agent's, user's, key's, run's or organization's id."""
    organization_id: Mapped[UUID]
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    """NULL: a run has no end that is known here."""
    used_usd: Mapped[Decimal] = mapped_column(MONEY, server_default=text("0"))
    """The sum of the cost rows."""
    reserved_usd: Mapped[Decimal] = mapped_column(MONEY, server_default=text("0"))
    """The worst that the attempts which are open may cost."""
    crossed: Mapped[list[int]] = mapped_column(ARRAY(Integer), server_default=_NONE)
    """Percent that have been reached, of `soft_percent` and 100; 0: a call was refused."""
    alerted: Mapped[list[int]] = mapped_column(ARRAY(Integer), server_default=_NONE)
    """Those of them that an alert was raised for."""
    created_at: Mapped[datetime] = created_at()


class BudgetReservation(Base):
    """What one attempt holds of one budget, and what it came to."""

    __tablename__ = "budget_reservations"
    __table_args__ = (Index("ix_budget_reservations_open", "budget_id", postgresql_where=text("settled_usd IS NULL")),)

    invocation_id: Mapped[UUID] = mapped_column(primary_key=True)
    attempt_number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    budget_id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID]
    subject: Mapped[str]
    period: Mapped[str]
    usd: Mapped[Decimal]
    settled_usd: Mapped[Decimal | None]
    """NULL while the attempt is open."""
    created_at: Mapped[datetime] = created_at()
