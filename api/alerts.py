"""`/api/v1/alerts`: what operators are told of, and what they do about it."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.bodies import without_nul
from api.doors import Operator, TheDoors
from api.examples import problems
from customhouse.storage.alerts import AlertFilter, AlertRecord
from customhouse.storage.pages import Page, PageRequest

router = APIRouter(prefix="/api/v1/alerts", tags=["Alerts"])


class AlertQuery(AlertFilter):
    """Filters and page."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: str | None = None


class AlertNote(BaseModel):
    """What the audit log is to say beside who did it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"note": "user-17 has been spoken to"}]})

    note: Annotated[str | None, Field(max_length=1000), AfterValidator(without_nul)] = None


@router.get("", summary="List alerts", responses=problems(401, 403, 422))
async def list_alerts(doors: TheDoors, principal: Operator, query: Annotated[AlertQuery, Query()]) -> Page[AlertRecord]:
    """Newest first, in keyset pages: pass `next` as `cursor` for the page that follows. For operators."""
    narrowed = AlertFilter.model_validate(query.model_dump(exclude={"limit", "cursor"}))
    page = PageRequest.of(query.limit, query.cursor)
    return await doors.alerts.list_page(principal.organization_id, narrowed, page)


@router.get("/{alert_id}", summary="One alert", responses=problems(401, 403, 404, 422))
async def get(alert_id: UUID, doors: TheDoors, principal: Operator) -> AlertRecord:
    """With how often it was seen, and whether it has been sent. For operators."""
    return await doors.alerts.get(principal.organization_id, alert_id)


@router.post(
    "/{alert_id}/acknowledge", summary="Acknowledge an alert", responses=problems(400, 401, 403, 404, 409, 422)
)
async def acknowledge(
    alert_id: UUID, doors: TheDoors, principal: Operator, why: AlertNote | None = None
) -> AlertRecord:
    """You look after it: repeats go on counting. One that is closed answers 409. For operators; audited."""
    note = None if why is None else why.note
    return await doors.alerts.acknowledge(principal.organization_id, alert_id, actor=principal.actor, note=note)


@router.post("/{alert_id}/close", summary="Close an alert", responses=problems(400, 401, 403, 404, 422))
async def close(alert_id: UUID, doors: TheDoors, principal: Operator, why: AlertNote | None = None) -> AlertRecord:
    """It is over: what comes after it is a new alert. For operators; audited."""
    note = None if why is None else why.note
    return await doors.alerts.close(principal.organization_id, alert_id, actor=principal.actor, note=note)
