"""`/api/v1/limits`: how much of what an organization's callers may use in how long."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Body
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from api.bodies import NUMBER, without_nul
from api.doors import Member, Operator, TheDoors
from api.examples import problems
from api.problems import field_error
from customhouse.contracts.rate_limits import ANY, LimitMetric, LimitRule, LimitScope
from customhouse.governance.limits.rules import address_subject
from customhouse.storage.limits import LimitRecord
from customhouse.storage.pages import Page

router = APIRouter(prefix="/api/v1/limits", tags=["Limits and blocks"])

LONGEST_WINDOW_S = 31 * 86_400
MOST_UNITS = 10**9
MOST_USD = 1_000_000.0
LEAST_USD = 1e-6


def _optional(schema: dict[str, Any]) -> None:
    """A field that may be left out, and is no null: what stands for it here is nobody's to send."""
    schema.pop("default", None)


Id = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(without_nul)]
AnyKey = Annotated[
    UUID | Literal["*"],
    WithJsonSchema({"anyOf": [{"const": ANY}, {"type": "string", "format": "uuid"}]}),
]
Address = Annotated[
    str,
    AfterValidator(address_subject),
    WithJsonSchema(
        {"anyOf": [{"const": ANY}, {"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}]}
    ),
]


class _Amounts(BaseModel):
    """At least one of the three. Each is a limit of its own."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"anyOf": [{"required": [metric.value]} for metric in LimitMetric]},
    )

    window_s: Annotated[int, Field(ge=1, le=LONGEST_WINDOW_S), NUMBER] = 60
    """Seconds: within any so many, no more passes."""
    requests: Annotated[int, NUMBER] = Field(0, ge=1, le=MOST_UNITS, json_schema_extra=_optional)
    tokens: Annotated[int, NUMBER] = Field(0, ge=1, le=MOST_UNITS, json_schema_extra=_optional)
    """Of prompt and answer together."""
    usd: Annotated[float, NUMBER] = Field(0.0, ge=LEAST_USD, le=MOST_USD, json_schema_extra=_optional)

    @model_validator(mode="after")
    def _says_something(self) -> _Amounts:
        if not (self.requests or self.tokens or self.usd):
            raise ValueError("says no amount: give `requests`, `tokens` or `usd`")
        return self

    def rules(self, scope: LimitScope, subject: str) -> list[LimitRule]:
        amounts = {
            LimitMetric.REQUESTS: Decimal(self.requests),
            LimitMetric.TOKENS: Decimal(self.tokens),
            LimitMetric.USD: Decimal(str(self.usd)),
        }
        return [
            LimitRule(scope=scope, subject=subject, metric=metric, amount=amount, window_s=self.window_s)
            for metric, amount in amounts.items()
            if amount
        ]


class OrganizationLimit(_Amounts):
    """For the whole organization."""

    scope: Literal["organization"]
    subject: Literal["*"] = ANY


class UserLimit(_Amounts):
    """For one user, or for each of those who have no limit of their own (`*`)."""

    scope: Literal["user"]
    subject: Id = ANY


class AgentLimit(_Amounts):
    scope: Literal["agent"]
    subject: Id = ANY


class KeyLimit(_Amounts):
    scope: Literal["key"]
    subject: AnyKey = ANY


class AddressLimit(_Amounts):
    """Of IPv6 addresses the network of 64 bits counts as one."""

    scope: Literal["ip"]
    subject: Address = ANY


LimitBody = Annotated[
    OrganizationLimit | UserLimit | AgentLimit | KeyLimit | AddressLimit,
    Body(
        discriminator="scope",
        examples=[{"scope": "user", "subject": "*", "requests": 60, "tokens": 100_000, "window_s": 60}],
    ),
]


def parse_limit(values: Mapping[str, Any]) -> list[LimitRule]:
    """For whoever sets limits otherwise than by REST. Raises UnprocessableField as the API does."""
    try:
        return rules_of(TypeAdapter[LimitBody](LimitBody).validate_python(values))
    except ValidationError as error:
        raise field_error(error) from error


def rules_of(limit: LimitBody) -> list[LimitRule]:
    return limit.rules(LimitScope(limit.scope), str(limit.subject))


class LimitsSet(BaseModel):
    """The limits that were set, one for each amount."""

    data: list[LimitRecord]


@router.get("", summary="List limits", responses=problems(401, 403))
async def list_limits(doors: TheDoors, principal: Member) -> Page[LimitRecord]:
    """All limits of your organization, on one page."""
    return Page(data=await doors.limits.list_all(principal.organization_id), next=None)


@router.put("", summary="Set limits", responses=problems(400, 401, 403, 422))
async def put(limit: LimitBody, doors: TheDoors, principal: Operator) -> LimitsSet:
    """Sets a limit for each amount given, instead of the one with the same scope, subject and window. Every process
    keeps it within two seconds. For operators; audited.
    """
    records = [
        await doors.limits.put(principal.organization_id, rule, actor=principal.actor) for rule in rules_of(limit)
    ]
    return LimitsSet(data=records)


@router.delete("/{limit_id}", summary="Remove a limit", responses=problems(401, 403, 404, 422))
async def delete(limit_id: UUID, doors: TheDoors, principal: Operator) -> LimitRecord:
    """As it was when it was removed. For operators; audited."""
    return await doors.limits.remove(principal.organization_id, limit_id, actor=principal.actor)
