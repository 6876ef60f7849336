"""Bringing an invocation's answer to a caller: whole, or as a stream. Shared by the doors that do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import orjson
from starlette.requests import Request
from starlette.responses import Response

from activities.live import StreamInterrupted
from api import headers
from api.chunks import as_asked
from api.doors import Doors
from api.invoker import Running
from api.problems import openai_error, render
from api.sse import DONE, EventStream, event
from api.stopping import stopping
from customhouse.contracts.chat import ChatCompletion, Json
from customhouse.contracts.chunks import chunks_of
from customhouse.contracts.errors import ErrorRecord, InvocationFailed
from customhouse.contracts.invocation import InvocationResult, InvocationStatus
from customhouse.governance.restoring import restore_answer


@dataclass(frozen=True, slots=True)
class Manner:
    """How the caller wants the answer."""

    received_at: float
    """Seconds since the epoch."""
    include_usage: bool
    cancel_on_hang_up: bool


async def whole_answer(request: Request, doors: Doors, running: Running, manner: Manner) -> Response:
    """Wait and render: a chat completion, or the error that the invocation ended with."""
    result = await result_of(request, doors, running, manner)
    extra = headers.result_headers(
        result, received_at=manner.received_at, start_ms=running.start_ms, replayed=running.replayed
    )
    if result.status is not InvocationStatus.COMPLETED:
        return render(request.url.path, ended_as(result), extra)
    answer = await read_answer(doors, result)
    return Response(answer.model_dump_json(), 200, extra, "application/json")


async def streamed_answer(
    request: Request, doors: Doors, running: Running, manner: Manner, following: AsyncExitStack
) -> Response:
    """Wait for the first chunk, so that a refusal still gets its own status, then stream.

    `following` keeps the invocation followed; it is closed when the stream ends.
    """
    events = running.events()
    async with _watching(request, doors, running, manner):
        first = await anext(events)
    if isinstance(first, InvocationResult) and first.status is not InvocationStatus.COMPLETED:
        await following.aclose()
        extra = headers.result_headers(
            first, received_at=manner.received_at, start_ms=running.start_ms, replayed=running.replayed
        )
        return render(request.url.path, ended_as(first), extra)
    extra = headers.stream_headers(running.live, received_at=manner.received_at, replayed=running.replayed)

    def hang_up() -> None:
        if manner.cancel_on_hang_up:
            doors.invoker.hang_up(running)

    async def lines() -> AsyncIterator[bytes]:
        async with following:
            async for part in _lines(doors, first, events, manner):
                yield part

    farewell = event(openai_error(stopping().to_record()))
    return EventStream(lines(), extra, farewell=farewell, on_hang_up=hang_up)


async def _lines(
    doors: Doors,
    first: list[Json] | InvocationResult,
    events: AsyncIterator[list[Json] | InvocationResult],
    manner: Manner,
) -> AsyncIterator[bytes]:
    sent = False
    current = first
    while not isinstance(current, InvocationResult):
        parts = [event(chunk) for chunk in as_asked(current, include_usage=manner.include_usage)]
        if parts:
            sent = True
            yield b"".join(parts)
        try:
            current = await anext(events)
        except StreamInterrupted:
            yield event(openai_error(_interrupted()))
            return
    result = current
    if result.status is not InvocationStatus.COMPLETED:
        yield event(openai_error(ended_as(result)))
        return
    if not sent:
        answer = await read_answer(doors, result)
        yield b"".join(event(chunk) for chunk in as_asked(chunks_of(answer), include_usage=manner.include_usage))
    yield _summary(result) + DONE


def _summary(result: InvocationResult) -> bytes:
    """An SSE comment, which every client skips: what could not be known when the headers were sent."""
    facts = {
        "verdict": result.verdict,
        "cost_usd": None if result.usd_cost is None else headers.format_usd(result.usd_cost),
        "overhead_ms": None if result.overhead_ms is None else round(result.overhead_ms, 1),
    }
    return b": customhouse " + orjson.dumps(facts) + b"\n\n"


async def read_answer(doors: Doors, result: InvocationResult) -> ChatCompletion:
    """The answer of a completed invocation, wherever it lies, with what was redacted in it where policy wants that."""
    answer = await _stored_answer(doors, result)
    if result.originals_ref is None:
        return answer
    return restore_answer(answer, await doors.content.read(result.organization_id, result.originals_ref))


async def _stored_answer(doors: Doors, result: InvocationResult) -> ChatCompletion:
    if result.answer is not None:
        return result.answer
    if result.answer_ref is None:
        raise InvocationFailed(f"Invocation {result.invocation_id} is recorded as completed, but has no answer.")
    return ChatCompletion.model_validate(await doors.content.read(result.organization_id, result.answer_ref))


def ended_as(result: InvocationResult) -> ErrorRecord:
    """What to tell the caller of an invocation that was not completed."""
    if result.error is not None:
        return result.error
    return InvocationFailed(f"Invocation {result.invocation_id} ended as {result.status}.").to_record()


def _interrupted() -> ErrorRecord:
    record = InvocationFailed(
        "The process that made this stream's answer died amid it. The invocation goes on; send the request again with "
        "the same Idempotency-Key, or read GET /api/v1/invocations/{id}/stream."
    ).to_record()
    return record.model_copy(update={"code": "stream_interrupted"})


async def result_of(request: Request, doors: Doors, running: Running, manner: Manner) -> InvocationResult:
    """The result. Where a hang-up is to cancel, it does so while we wait."""
    async with _watching(request, doors, running, manner):
        return await running.result()


@asynccontextmanager
async def _watching(request: Request, doors: Doors, running: Running, manner: Manner) -> AsyncIterator[None]:
    """Where a hang-up is to cancel, it does so inside the block. Afterwards somebody else may receive."""
    if not manner.cancel_on_hang_up:
        yield
        return

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        doors.invoker.hang_up(running)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
