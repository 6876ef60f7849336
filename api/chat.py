"""The OpenAI-compatible door: `POST /v1/chat/completions` and `GET /v1/models`."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.answers import Manner, streamed_answer, whole_answer
from api.bodies import parse_json_object, read_body, validate
from api.callers import CallOptions, Metadata, caller_of, read_options, split_metadata
from api.doors import Doors, Member, TheDoors
from api.examples import CALLER_PARAMETERS, json_body, openai_errors
from api.gate import admitted
from api.invoker import Ask
from api.stopping import told_when_stopped
from customhouse.contracts.chat import ChatCompletion, ChatRequest, Json
from customhouse.contracts.errors import NotFound, UnknownModel
from customhouse.storage.keys import Principal

router = APIRouter(prefix="/v1", tags=["OpenAI-compatible"])


@router.post(
    "/chat/completions",
    summary="Chat completion",
    response_model=ChatCompletion,
    responses=openai_errors(400, 401, 402, 403, 404, 409, 413, 422, 429, 502, 503, 504),
    openapi_extra={"parameters": CALLER_PARAMETERS, "requestBody": json_body("ChatRequest")},
)
async def chat_completions(request: Request, doors: TheDoors, principal: Member) -> Response:
    """A governed chat completion, whole or streamed. The official `openai` clients work unchanged."""
    received_at = time.time()
    body = await read_body(request, doors.max_body_bytes)
    chat, options, labels = parse_chat(parse_json_object(body), request, doors)
    ask = ask_for(chat, principal, options, received_at=received_at, size_bytes=len(body), labels=labels)
    return await answer(request, doors, ask, options)


def parse_chat(data: Json, request: Request, doors: Doors) -> tuple[ChatRequest, CallOptions, dict[str, str]]:
    """The request without what is ours in its metadata, the call's options, and the caller's own labels."""
    chat = validate(ChatRequest, data)
    metadata = split_metadata(chat.metadata)
    options = read_options(request.headers, metadata.options)
    require_known_model(doors, chat.model)
    return without_options(chat, metadata), options, metadata.labels


def without_options(chat: ChatRequest, metadata: Metadata) -> ChatRequest:
    """The request without what is ours in its metadata: the same, through whichever door it came."""
    if not metadata.options:
        return chat
    chat = chat.model_copy(update={"metadata": metadata.labels or None})
    if not metadata.labels:
        chat.model_fields_set.discard("metadata")
    return chat


def require_known_model(doors: Doors, model: str) -> None:
    """Before an invocation begins: nothing was decided yet, so nothing needs a row."""
    if model not in doors.catalog.models:
        known = ", ".join(doors.catalog.models) or "none"
        raise UnknownModel(f"The model {model!r} is not in the catalog. Ask for one of: {known}.", param="model")


def ask_for(
    chat: ChatRequest,
    principal: Principal,
    options: CallOptions,
    *,
    received_at: float,
    size_bytes: int,
    labels: dict[str, str],
) -> Ask:
    return Ask(
        request=chat,
        caller=caller_of(principal, options, fallback_user=chat.user),
        received_at=received_at,
        size_bytes=size_bytes,
        idempotency_key=options.idempotency_key,
        deadline_s=options.deadline_s,
        labels=labels,
    )


async def answer(request: Request, doors: Doors, ask: Ask, options: CallOptions) -> Response:
    """Run the invocation and render its answer as the chat request wants it."""
    ask = await admitted(request, doors, ask)
    chat = ask.request
    manner = Manner(
        received_at=ask.received_at,
        include_usage=bool(chat.stream_options and chat.stream_options.include_usage),
        cancel_on_hang_up=options.on_disconnect == "cancel",
    )
    with told_when_stopped():
        async with AsyncExitStack() as stack:
            running = await stack.enter_async_context(
                doors.invoker.run(ask, traceparent=request.headers.get("traceparent"))
            )
            if chat.stream:
                return await streamed_answer(request, doors, running, manner, stack.pop_all())
            return await whole_answer(request, doors, running, manner)


@router.get("/models", summary="Models that can be asked for", responses=openai_errors(401, 403))
async def list_models(doors: TheDoors, _: Member) -> dict[str, Any]:
    """Every model of the catalog, in OpenAI's form."""
    return {"object": "list", "data": [_model(doors, name) for name in doors.catalog.models]}


@router.get("/models/{model:path}", summary="One model", responses=openai_errors(401, 403, 404, 422))
async def get_model(model: str, doors: TheDoors, _: Member) -> dict[str, Any]:
    """One model of the catalog, in OpenAI's form, with the deployments that serve it."""
    if model not in doors.catalog.models:
        raise NotFound(
            f"The model {model!r} is not in the catalog. GET /v1/models lists those that are.", param="model"
        )
    return _model(doors, model)


def _model(doors: Doors, name: str) -> Json:
    """OpenAI's fields, and the deployments that serve it."""
    deployments = [d for d in doors.catalog.deployments if d.model == name]
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": deployments[0].provider,
        "deployments": [{"id": d.id, "region": d.region, "context_window": d.context_window} for d in deployments],
    }
