"""Budgets as they cross a boundary: whose spending is bounded, for how long, and what a call was refused for."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from customhouse.contracts.money import Usd, plain

BUDGETS_CHANNEL = "customhouse_budgets"
"""Bears a budget's id when one of its thresholds has been passed; the functions of migration 0004 send it."""

EACH = "*"
"""As `scope_id`: every agent, user, key or run has the budget to itself."""


class BudgetScope(StrEnum):
    """Whose spending a budget bounds."""

    ORGANIZATION = "organization"
    AGENT = "agent"
    USER = "user"
    KEY = "key"
    WORKFLOW_EXECUTION = "workflow_execution"
    """The caller's own run."""


class BudgetPeriodKind(StrEnum):
    """What a budget is for. Days and months are those of UTC."""

    DAY = "day"
    MONTH = "month"
    RUN = "run"
    """One workflow run, however long it takes. Calls that name none are not counted."""


class Unpriced(StrEnum):
    """What a hard budget does about a call whose price nobody knows."""

    REFUSE = "refuse"
    ALLOW = "allow"
    """Let it through, uncounted; an event says so."""


class Shortage(BaseModel):
    """One hard budget that has no room for a call."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["spent", "reserved", "unpriced"]
    budget_id: UUID
    name: str
    scope: BudgetScope
    subject: str
    period: BudgetPeriodKind
    current: str
    """The period: `2026-11-24`, `2026-11`, or the run's id."""
    resets_at: datetime | None
    """None: a run's budget never does."""
    amount_usd: Usd
    used_usd: Usd
    reserved_usd: Usd
    needed_usd: Usd | None
    """The worst that the call may cost; None where no price is known."""


def _ascending(percents: list[int]) -> list[int]:
    return sorted(set(percents))


def _exact(value: object) -> object:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool | float):
        raise ValueError(  # noqa: TRY004 - pydantic renders a ValueError
            'must be a text such as "12.50", or a whole number: a fraction could arrive as another one'
        )
    return value


Amount = Annotated[
    Decimal,
    Field(ge=0, max_digits=20, decimal_places=10),
    PlainSerializer(plain, when_used="json"),
    BeforeValidator(_exact),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^[0-9]{1,10}(\.[0-9]{1,10})?$"},
                {"type": "integer", "minimum": 0, "maximum": 9_999_999_999},
            ]
        }
    ),
]
"""US dollars. 0 refuses whatever costs anything."""

Percents = Annotated[list[Annotated[int, Field(ge=1, le=1000)]], Field(max_length=10), AfterValidator(_ascending)]


class BudgetSpec(BaseModel):
    """A budget as it is made."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$")]
    """For people: it stands in refusals and alerts."""
    scope: BudgetScope
    scope_id: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\x00]*$")] = EACH
    """The agent's, user's, key's or run's id; `*`: each has the budget to itself. Left out for the organization."""
    period: BudgetPeriodKind
    amount_usd: Amount
    hard: bool = True
    """Refuse calls that have no room; otherwise count and alert only."""
    soft_percent: Percents = [80]
    """Alert once a period at each of these percentages of the amount, and at 100."""
    unpriced: Unpriced = Unpriced.REFUSE

    @model_validator(mode="after")
    def _scope_fits(self) -> BudgetSpec:
        if self.scope is BudgetScope.ORGANIZATION and self.scope_id != EACH:
            raise ValueError("scope_id must be left out where the scope is `organization`: it is the key's own")
        if self.scope is BudgetScope.KEY and self.scope_id != EACH:
            try:
                UUID(self.scope_id)
            except ValueError:
                raise ValueError("scope_id must be a key's id (`customhouse keys list` shows them), or `*`") from None
        return self


class BudgetChange(BaseModel):
    """What may change of a budget; whose it is and for how long may not, since its counts would no longer be true."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$")] | None = None
    amount_usd: Amount | None = None
    hard: bool | None = None
    soft_percent: Percents | None = None
    unpriced: Unpriced | None = None


class BudgetRecord(BudgetSpec):
    """A budget."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: UUID
    created_at: datetime


class PeriodStatus(BaseModel):
    """One subject's current period."""

    model_config = ConfigDict(frozen=True)

    subject: str
    period: str
    """`2026-11-24`, `2026-11`, or the run's id."""
    starts_at: datetime | None
    resets_at: datetime | None
    """None for a run."""
    used_usd: Usd
    """The sum of the cost rows."""
    reserved_usd: Usd
    """The worst that calls in flight may cost."""
    left_usd: Usd
    """Not used and not reserved; negative where a call cost more than the worst that was foreseen."""
    forecast_usd: Usd | None
    """Used at the period's end, if it goes on so; None in its first 15 minutes, and for a run."""
    passed_percent: list[int]
    """Thresholds that have been reached; 0: a call was refused."""


class BudgetStatus(BudgetRecord):
    """A budget and how much of it is left."""

    periods: list[PeriodStatus]
    """Those that are current, the fullest first; the 100 fullest, where each subject has its own."""


class BudgetDrift(BaseModel):
    """A period whose counts are not what the cost log and the open attempts say."""

    model_config = ConfigDict(frozen=True)

    organization_id: UUID
    budget_id: UUID
    name: str
    subject: str
    period: str
    used_usd: Usd
    logged_usd: Usd
    """By the cost log."""
    reserved_usd: Usd
    held_usd: Usd
    """By the reservations of open attempts."""
    leaked: int
    """Reservations whose attempt is not open any more."""
