"""`GET /api/v1/cost-logs`: what attempts cost, row by row or summed, as JSON or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from api.doors import Member, TheDoors
from api.examples import problems
from customhouse.storage.cost_logs import CostLogFilter, CostLogRecord, CostSum, Dimension
from customhouse.storage.pages import Page, PageRequest

router = APIRouter(prefix="/api/v1/cost-logs", tags=["Costs"])


class CostLogQuery(CostLogFilter):
    """Filters, page and form."""

    group_by: list[Dimension] = Field(default_factory=list)
    """Sum by these instead of listing rows; several make one sum for each combination."""
    format: Literal["json", "csv"] = "json"
    """CSV also for `Accept: text/csv`."""
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: str | None = None


class CostSums(BaseModel):
    """Sums, the dearest first. All of them: there is no next page."""

    data: list[CostSum]
    next: None = None


@router.get(
    "",
    summary="Cost log",
    response_model=Page[CostLogRecord] | CostSums,
    responses={
        200: {"content": {"text/csv": {}}, "description": "Rows or sums, as JSON or CSV."},
        **problems(401, 403, 422),
    },
)
async def cost_logs(
    request: Request, doors: TheDoors, principal: Member, query: Annotated[CostLogQuery, Query()]
) -> Response | Page[CostLogRecord] | CostSums:
    """One row an attempt, newest first; or sums by any of the dimensions. An unknown price is null, never 0."""
    narrowed = CostLogFilter.model_validate(query.model_dump(exclude={"group_by", "format", "limit", "cursor"}))
    as_csv = query.format == "csv" or "text/csv" in request.headers.get("accept", "")
    organization_id = principal.organization_id
    if query.group_by:
        sums = await doors.cost_logs.sums(organization_id, narrowed, query.group_by)
        if not as_csv:
            return CostSums(data=sums)
        return _csv([*query.group_by, *_SUM_COLUMNS], (_flat(each) for each in sums), next_cursor=None)
    page = await doors.cost_logs.list_page(organization_id, narrowed, PageRequest.of(query.limit, query.cursor))
    if not as_csv:
        return page
    return _csv(
        list(CostLogRecord.model_fields), (row.model_dump(mode="json") for row in page.data), next_cursor=page.next
    )


_SUM_COLUMNS = [name for name in CostSum.model_fields if name != "group"]


def _flat(cost: CostSum) -> dict[str, Any]:
    return {dimension.value: value for dimension, value in cost.group.items()} | cost.model_dump(
        mode="json", exclude={"group"}
    )


def _csv(columns: list[str], rows: Iterable[Mapping[str, Any]], *, next_cursor: str | None) -> Response:
    """RFC 4180. The next page's cursor is in a header, since a CSV has no place for it."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    extra = {"content-disposition": 'attachment; filename="cost-logs.csv"'}
    if next_cursor is not None:
        extra["x-next-cursor"] = next_cursor
    return Response(text.getvalue(), headers=extra, media_type="text/csv")


def _cell(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula is made plain (OWASP, CSV injection)."""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value
