"""`/api/v1/budgets`: how much may be spent, by whom, and how much of it is left."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from api.doors import Member, Operator, TheDoors
from api.examples import problems
from customhouse.contracts.budgets import BudgetChange, BudgetRecord, BudgetSpec, BudgetStatus
from customhouse.storage.pages import Page, PageRequest

router = APIRouter(prefix="/api/v1/budgets", tags=["Budgets"])


class BudgetQuery(BaseModel):
    """Which page."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: str | None = None


@router.post("", summary="Make a budget", status_code=201, responses=problems(400, 401, 403, 422))
async def create(doors: TheDoors, principal: Operator, spec: BudgetSpec) -> BudgetRecord:
    """What the running day or month has cost so far counts. Holds from the next call on. For operators; audited."""
    return await doors.budgets.create(principal.organization_id, spec, actor=principal.actor)


@router.get("", summary="List budgets", responses=problems(401, 403, 422))
async def list_budgets(
    doors: TheDoors, principal: Member, query: Annotated[BudgetQuery, Query()]
) -> Page[BudgetRecord]:
    """Newest first, in keyset pages: pass `next` as `cursor` for the page that follows."""
    page = PageRequest.of(query.limit, query.cursor)
    return await doors.budgets.list_page(principal.organization_id, page)


@router.get("/{budget_id}", summary="One budget", responses=problems(401, 403, 404, 422))
async def get(budget_id: UUID, doors: TheDoors, principal: Member) -> BudgetStatus:
    """With what is used, held by calls in flight and left in its current periods, and where they are heading."""
    return await doors.budgets.get(principal.organization_id, budget_id)


@router.patch("/{budget_id}", summary="Change a budget", responses=problems(400, 401, 403, 404, 422))
async def change(budget_id: UUID, doors: TheDoors, principal: Operator, change: BudgetChange) -> BudgetRecord:
    """Fields that are left out stay. Holds from the next call on. For operators; audited."""
    return await doors.budgets.change(principal.organization_id, budget_id, change, actor=principal.actor)


@router.delete("/{budget_id}", summary="Delete a budget", status_code=204, responses=problems(401, 403, 404, 422))
async def delete(budget_id: UUID, doors: TheDoors, principal: Operator) -> Response:
    """It bounds nothing any more. For operators; audited."""
    await doors.budgets.delete(principal.organization_id, budget_id, actor=principal.actor)
    return Response(status_code=204)
