"""`GET /api/v1/similarity-logs`: how near prompts came to earlier ones, and what their copies cost."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from api.doors import Member, TheDoors
from api.examples import problems
from customhouse.storage.pages import Page, PageRequest
from customhouse.storage.similarity_logs import Savings, SimilarityLogFilter, SimilarityLogRecord

router = APIRouter(prefix="/api/v1/similarity-logs", tags=["Similarity"])


class SimilarityLogQuery(SimilarityLogFilter):
    """Filters and page."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: str | None = None


@router.get("", summary="Similarity log", responses=problems(401, 422))
async def similarity_logs(
    doors: TheDoors, principal: Member, query: Annotated[SimilarityLogQuery, Query()]
) -> Page[SimilarityLogRecord]:
    """One row an invocation, newest first, with the threshold that held when it came. The texts are not in it."""
    narrowed = SimilarityLogFilter.model_validate(query.model_dump(exclude={"limit", "cursor"}))
    page = PageRequest.of(query.limit, query.cursor)
    return await doors.similarity_logs.list_page(principal.organization_id, narrowed, page)


@router.get("/savings", summary="What copies cost", responses=problems(401, 422))
async def savings(doors: TheDoors, principal: Member, query: Annotated[SimilarityLogFilter, Query()]) -> Savings:
    """The cost of prompts that are copies of earlier ones: what a cache of answers could have saved, at most."""
    return await doors.similarity_logs.savings(principal.organization_id, query)
