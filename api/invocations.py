"""The REST door: invocations made, listed, read, followed and cancelled."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from typing import Annotated, Literal
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from api import headers
from api.answers import Manner, ended_as, read_answer, result_of, streamed_answer
from api.bodies import parse_json_object, read_body, validate
from api.callers import CallOptions, read_options, split_metadata
from api.chat import ask_for, require_known_model, without_options
from api.doors import Doors, Member, TheDoors
from api.examples import CALLER_PARAMETERS, json_body, problems
from api.gate import admitted
from api.invoker import Running
from api.problems import render
from api.stopping import told_when_stopped
from customhouse.contracts.chat import ChatCompletion, ChatRequest
from customhouse.contracts.errors import NotFound
from customhouse.contracts.invocation import CancelRequest, InvocationResult, InvocationStatus, Label
from customhouse.storage.invocations import InvocationDetail, InvocationFilter, InvocationSummary
from customhouse.storage.pages import Page, PageRequest

router = APIRouter(prefix="/api/v1/invocations", tags=["Invocations"])


class InvocationRequest(BaseModel):
    """Body of `POST /api/v1/invocations`. What headers say as well, the headers win."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "request": {
                        "model": "smollm2-135m",
                        "messages": [{"role": "user", "content": "Say hello."}],
                    },
                    "agent_id": "support-bot",
                    "idempotency_key": "ticket-17-summary",
                    "wait": True,
                }
            ]
        },
    )

    request: ChatRequest
    agent_id: Label | None = None
    user_id: Label | None = None
    workflow_execution_id: Label | None = None
    node_id: Label | None = None
    region: Label | None = None
    plan: Label | None = None
    idempotency_key: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    deadline_s: Annotated[float, Field(gt=0, le=86_400)] | None = None
    on_disconnect: Literal["continue", "cancel"] | None = None
    wait: bool = True
    """False, or the header `Prefer: respond-async`: 202 at once, with the place to look at."""


class InvocationAccepted(BaseModel):
    """What is known at once."""

    invocation_id: UUID
    trace_id: str
    status: InvocationStatus
    location: str


class InvocationView(InvocationDetail):
    """One invocation, with its answer and where to see it at work."""

    trace_id: str
    answer: ChatCompletion | None
    temporal_url: str | None


class InvocationQuery(InvocationFilter):
    """Filters and page."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: str | None = None


@router.post(
    "",
    summary="Make an invocation",
    response_model=InvocationResult,
    responses={
        202: {"model": InvocationAccepted, "description": "Under way; `Location` tells where to look."},
        **problems(400, 401, 402, 403, 404, 409, 413, 422, 429, 502, 503, 504),
    },
    openapi_extra={"parameters": CALLER_PARAMETERS, "requestBody": json_body("InvocationRequest")},
)
async def create(request: Request, doors: TheDoors, principal: Member) -> Response:
    """Run a governed call and wait for its end, or get 202 at once. The answer is the same as `/v1` gives, in the
    field `answer`; a blocked or failed one is an error with its own status, as there.
    """
    received_at = time.time()
    body = await read_body(request, doors.max_body_bytes)
    data = parse_json_object(body)
    asked = validate(InvocationRequest, data)
    metadata = split_metadata(asked.request.metadata)
    named = asked.model_dump(include=set(CallOptions.model_fields), exclude_none=True)
    options = read_options(request.headers, {**metadata.options, **named})
    chat = without_options(asked.request, metadata)
    require_known_model(doors, chat.model)
    ask = ask_for(chat, principal, options, received_at=received_at, size_bytes=len(body), labels=metadata.labels)
    ask = await admitted(request, doors, ask)
    with told_when_stopped():
        async with doors.invoker.run(ask, traceparent=request.headers.get("traceparent")) as running:
            if not asked.wait or "respond-async" in request.headers.get("prefer", ""):
                return _accepted(running)
            manner = Manner(received_at, include_usage=False, cancel_on_hang_up=options.on_disconnect == "cancel")
            result = await result_of(request, doors, running, manner)
            extra = headers.result_headers(
                result, received_at=received_at, start_ms=running.start_ms, replayed=running.replayed
            )
            return await _rendered(request, doors, result, extra)


async def _rendered(request: Request, doors: Doors, result: InvocationResult, extra: dict[str, str]) -> Response:
    if result.status is not InvocationStatus.COMPLETED:
        return render(request.url.path, ended_as(result), extra)
    result.answer = await read_answer(doors, result)
    return Response(result.model_dump_json(), 200, extra, "application/json")


def _accepted(running: Running) -> Response:
    location = f"/api/v1/invocations/{running.invocation_id}"
    body = InvocationAccepted(
        invocation_id=running.invocation_id,
        trace_id=running.invocation_id.hex,
        status=InvocationStatus.RUNNING if running.live.result is None else running.live.result.status,
        location=location,
    )
    extra = {"location": location, **headers.identity_headers(running.invocation_id)}
    return Response(body.model_dump_json(), 202, extra, "application/json")


@router.get("", summary="List invocations", responses=problems(401, 403, 422))
async def list_invocations(
    doors: TheDoors, principal: Member, query: Annotated[InvocationQuery, Query()]
) -> Page[InvocationSummary]:
    """Newest first, in keyset pages: pass `next` as `cursor` for the page that follows."""
    narrowed = InvocationFilter.model_validate(query.model_dump(exclude={"limit", "cursor"}))
    page = PageRequest.of(query.limit, query.cursor)
    return await doors.invocations.list_page(principal.organization_id, narrowed, page)


@router.get("/{invocation_id}", summary="One invocation", responses=problems(401, 403, 404, 422))
async def get(invocation_id: UUID, doors: TheDoors, principal: Member) -> InvocationView:
    """All that is recorded of it: request as the provider saw it, decision, route, attempts, answer or error."""
    detail = await doors.invocations.get(principal.organization_id, invocation_id)
    if detail is None:
        raise NotFound(f"There is no invocation {invocation_id} in your organization.", param="invocation_id")
    result = await doors.invocations.result(principal.organization_id, invocation_id)
    answer = None
    if result is not None and result.status is InvocationStatus.COMPLETED:
        answer = await read_answer(doors, result)
    return InvocationView(
        **detail.model_dump(), trace_id=invocation_id.hex, answer=answer, temporal_url=_temporal_url(doors, detail)
    )


@router.get(
    "/{invocation_id}/stream",
    summary="Follow an invocation's stream",
    response_class=Response,
    responses={
        200: {"content": {"text/event-stream": {}}, "description": "Server-sent events, as `/v1` streams."},
        **problems(400, 401, 402, 403, 404, 409, 413, 422, 429, 502, 503, 504),
    },
)
async def stream(invocation_id: UUID, request: Request, doors: TheDoors, principal: Member) -> Response:
    """Re-attach after a hang-up: the whole stream from its start, live where it is still going on."""
    manner = Manner(received_at=time.time(), include_usage=True, cancel_on_hang_up=False)
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(doors.invoker.attach(principal.organization_id, invocation_id))
        return await streamed_answer(request, doors, running, manner, stack.pop_all())


@router.post(
    "/{invocation_id}/cancel",
    summary="Cancel an invocation",
    status_code=202,
    responses=problems(400, 401, 403, 404, 409, 422, 503),
)
async def cancel(
    invocation_id: UUID, doors: TheDoors, principal: Member, why: CancelRequest | None = None
) -> InvocationAccepted:
    """The provider call is ended; what was spent until then is logged. The status tells when it is done."""
    await doors.invoker.cancel(principal.organization_id, invocation_id, why or CancelRequest())
    return InvocationAccepted(
        invocation_id=invocation_id,
        trace_id=invocation_id.hex,
        status=InvocationStatus.RUNNING,
        location=f"/api/v1/invocations/{invocation_id}",
    )


def _temporal_url(doors: Doors, detail: InvocationDetail) -> str | None:
    if doors.temporal_ui_url is None:
        return None
    workflow = quote(detail.workflow_id, safe="")
    return f"{doors.temporal_ui_url.rstrip('/')}/namespaces/{doors.temporal_namespace}/workflows/{workflow}"
