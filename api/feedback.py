"""`/api/v1/feedback`: marks on findings, which become training data."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.bodies import without_nul
from api.doors import Member, TheDoors
from api.examples import problems
from customhouse.contracts.errors import NotFound
from customhouse.contracts.feedback import Category, Label, Mark
from customhouse.contracts.governance import Direction, Finding
from customhouse.governance.feedback.labels import find, labelled
from customhouse.storage.feedback import FeedbackFilter, FeedbackRecord, NewFeedback
from customhouse.storage.invocations import InvocationDetail
from customhouse.storage.keys import Role
from customhouse.storage.pages import Page, PageRequest, Term

_HELD_AGAINST_COPIES = frozenset({"abuse", "similarity"})
"""Checks for whose findings a prompt's near-copies are blocked, too."""

router = APIRouter(prefix="/api/v1/feedback", tags=["Feedback"])


class FeedbackRequest(BaseModel):
    """Body of `POST /api/v1/feedback`. Without `finding`, `check` and `kind` the mark is on the whole invocation."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "invocation_id": "01a20ea3-a31a-734b-bd9c-56d948a3a606",
                    "check": "abuse",
                    "mark": "wrong",
                    "category": "benign_roleplay",
                    "comment": "a scene of a play",
                }
            ]
        },
    )

    invocation_id: UUID
    finding: Annotated[int, Field(ge=0, le=10_000)] | None = None
    """Its place in the invocation's `result.findings`, from 0."""
    check: Term | None = None
    """Name of the check: its first finding is meant."""
    kind: Term | None = None
    mark: Mark
    label: Label | None = None
    """What the text really is. Left out: what the mark says of a finding of abuse."""
    category: Category | None = None
    comment: Annotated[str | None, Field(max_length=1000), AfterValidator(without_nul)] = None


class FeedbackQuery(FeedbackFilter):
    """Filters and page."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: str | None = None


@router.post("", summary="Mark a finding", status_code=201, responses=problems(400, 401, 403, 404, 422))
async def give(body: FeedbackRequest, doors: TheDoors, principal: Member) -> FeedbackRecord:
    """Say that a finding is wrong or right, or that a text in which nothing was found is abuse. Of your organization's
    invocations only; audited. Where an operator says that a prompt was blocked wrongly, its copies are free at once.
    Several marks on one text: an operator's counts before a member's, then the latest.
    """
    detail = await doors.invocations.get(principal.organization_id, body.invocation_id)
    if detail is None:
        raise NotFound(f"There is no invocation {body.invocation_id} in your organization.", param="invocation_id")
    findings = _findings(detail)
    place = find(findings, index=body.finding, check=body.check, kind=body.kind)
    finding = None if place is None else findings[place]
    label, category = labelled(body.mark, body.label, body.category, finding)
    given = NewFeedback(
        invocation_id=body.invocation_id,
        finding=place,
        check_name=None if finding is None else finding.check,
        kind=None if finding is None else finding.kind,
        path=_path(finding),
        mark=body.mark,
        label=label,
        category=category,
        comment=body.comment,
    )
    added = await doors.feedback.add(principal.organization_id, given, role=principal.role, actor=principal.actor)
    if (
        body.mark is Mark.WRONG
        and finding is not None
        and finding.check in _HELD_AGAINST_COPIES
        and principal.role.includes(Role.OPERATOR)  # else whoever was blocked could unblock their own prompts
    ):
        hashed = await doors.similarity_logs.prompt_hash(principal.organization_id, body.invocation_id)
        if hashed is not None:
            await doors.similarity.forgive(principal.organization_id, hashed)
    return added


@router.get("", summary="List marks", responses=problems(401, 403, 422))
async def list_feedback(
    doors: TheDoors, principal: Member, query: Annotated[FeedbackQuery, Query()]
) -> Page[FeedbackRecord]:
    """Newest first, in keyset pages: pass `next` as `cursor` for the page that follows."""
    narrowed = FeedbackFilter.model_validate(query.model_dump(exclude={"limit", "cursor"}))
    page = PageRequest.of(query.limit, query.cursor)
    return await doors.feedback.list_page(principal.organization_id, narrowed, page)


def _path(finding: Finding | None) -> str | None:
    """Of the text in the request; what is found in an answer is put to the prompt that led to it."""
    if finding is None or finding.span is None or finding.direction.side is not Direction.INPUT:
        return None
    return finding.span.path


def _findings(detail: InvocationDetail) -> list[Finding]:
    """Of request and answer, once it has ended; of the request alone until then."""
    source = detail.result or detail.decision or {}
    return [Finding.model_validate(each) for each in source.get("findings", ())]
