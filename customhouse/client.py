"""Governed calls from an agent runtime, over Temporal: start, await, stream and cancel. Needs pydantic and temporalio.

    temporal = await Client.connect("localhost:7233", data_converter=pydantic_data_converter)
    customhouse = CustomhouseClient(temporal, organization_id)
    result = await customhouse.invoke(ChatRequest(model="smollm2-135m", messages=[...]), idempotency_key="step-17")
    print(result.answer.choices[0].message["content"], result.usd_cost)

A workflow of your own runs `GovernedInvocation` as its child: see `examples/agent_workflow.py`.
Where Customhouse encrypts history, connect with the same codec.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.contrib.workflow_streams import WorkflowStreamClient
from temporalio.exceptions import ApplicationError, CancelledError

from customhouse.contracts.chat import ChatRequest, Json
from customhouse.contracts.chunks import ChunkBatch, chunks_of
from customhouse.contracts.errors import (
    CustomhouseError,
    ErrorRecord,
    IdempotencyMismatch,
    InvocationCancelled,
    InvocationFailed,
    PayloadTooLarge,
    from_record,
)
from customhouse.contracts.identity import fingerprint, workflow_id
from customhouse.contracts.invocation import Caller, InvocationInput, InvocationResult, InvocationStatus
from customhouse.contracts.limits import HISTORY_PAYLOAD_BYTES
from customhouse.contracts.search_attributes import AGENT, MODEL, ORGANIZATION, REGION, STATUS
from customhouse.contracts.timing import START_TIMEOUT, WORKFLOW_TASK_TIMEOUT

WORKFLOW = "GovernedInvocation"
TASK_QUEUE = "customhouse"
CHUNKS = "chunks"
"""Topic of the workflow's stream; bears `ChunkBatch`es."""


def start_options(invocation: InvocationInput) -> dict[str, Any]:
    """Keyword arguments for `start_workflow` and `execute_child_workflow`: id, time-out, summary, search attributes."""
    caller = invocation.caller
    pairs: list[SearchAttributePair[Any]] = [
        SearchAttributePair(ORGANIZATION, str(caller.organization_id)),
        SearchAttributePair(MODEL, invocation.model),
        SearchAttributePair(STATUS, InvocationStatus.RUNNING.value),
    ]
    if caller.agent_id is not None:
        pairs.append(SearchAttributePair(AGENT, caller.agent_id))
    if caller.region is not None:
        pairs.append(SearchAttributePair(REGION, caller.region))
    who = f" for {caller.agent_id}" if caller.agent_id else ""
    return {
        "id": workflow_id(caller.organization_id, invocation.idempotency_key),
        "task_timeout": WORKFLOW_TASK_TIMEOUT,
        "search_attributes": TypedSearchAttributes(pairs),
        "static_summary": f"{invocation.model}{who}",
    }


async def start_workflow(
    temporal: Client, invocation: InvocationInput, *, task_queue: str, attach: bool, eager: bool = False
) -> WorkflowHandle[Any, InvocationResult]:
    """Start `GovernedInvocation`. With `attach`, one that runs under the same key is taken, and an ended one repeated
    (which answers from Postgres); without, both raise temporalio's WorkflowAlreadyStartedError.
    """
    return await temporal.start_workflow(
        WORKFLOW,
        invocation,
        task_queue=task_queue,
        result_type=InvocationResult,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE if attach else WorkflowIDReusePolicy.REJECT_DUPLICATE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING if attach else WorkflowIDConflictPolicy.FAIL,
        request_eager_start=eager,
        rpc_timeout=START_TIMEOUT,
        **start_options(invocation),
    )


def raise_unless_completed(result: InvocationResult) -> InvocationResult:
    """The result of a completed invocation; for any other, the error that it ended with."""
    if result.status is InvocationStatus.COMPLETED:
        return result
    record = result.error or ErrorRecord(
        code=InvocationFailed.code, message=f"The invocation ended as {result.status}.", status=InvocationFailed.status
    )
    error = from_record(record)
    error.invocation_id = result.invocation_id
    raise error


@dataclass(frozen=True, slots=True)
class InvocationHandle:
    """An invocation that has been started."""

    workflow: WorkflowHandle[Any, InvocationResult]
    invocation: InvocationInput

    async def result(self) -> InvocationResult:
        """Wait for the answer.

        Raises what it ended with: BlockedByPolicy, NoLawfulRoute, InvocationFailed, InvocationCancelled and so on, or
        IdempotencyMismatch where the key stands for another request.
        """
        try:
            result = await self.workflow.result()
        except WorkflowFailureError as failure:
            raise _as_ours(failure) from failure
        if result.fingerprint != self.invocation.fingerprint:
            key = self.invocation.idempotency_key
            raise IdempotencyMismatch(
                f"Idempotency key {key!r} was used before with another request. Use a new key for a new request.",
                param="idempotency_key",
            )
        return raise_unless_completed(result)

    async def cancel(self) -> None:
        """Ask for an end. What was spent until then is logged; `result` then raises InvocationCancelled."""
        await self.workflow.cancel()

    async def chunks(self) -> AsyncIterator[Json]:
        """The governed `chat.completion.chunk`s of an invocation that was started with `stream=True`.

        None where it had ended before. Raises InvocationFailed where another attempt begins the answer anew, after a
        worker's death; `result` still has it whole.
        """
        stream = WorkflowStreamClient(self.workflow)
        attempt: int | None = None
        async for item in stream.subscribe([CHUNKS], result_type=Json):
            batch = ChunkBatch.model_validate(item.data)
            if attempt not in (None, batch.attempt):
                raise InvocationFailed(
                    "The worker that made this stream died amid it, and another one began the answer anew. Await "
                    "`result` for the whole answer."
                )
            attempt = batch.attempt
            for chunk in batch.chunks:
                yield chunk


class CustomhouseClient:
    """Governed calls for one organization."""

    def __init__(self, temporal: Client, organization_id: UUID, *, task_queue: str = TASK_QUEUE) -> None:
        self._temporal = temporal
        self._organization_id = organization_id
        self._task_queue = task_queue

    async def start(
        self,
        request: ChatRequest,
        *,
        idempotency_key: str | None = None,
        agent_id: str | None = None,
        user_id: str | None = None,
        workflow_execution_id: str | None = None,
        node_id: str | None = None,
        region: str | None = None,
        plan: str | None = None,
        deadline_s: float = 600,
        metadata: dict[str, str] | None = None,
    ) -> InvocationHandle:
        """Start an invocation, or take the one that was started with this key before."""
        caller = Caller(
            organization_id=self._organization_id,
            agent_id=agent_id,
            user_id=user_id,
            workflow_execution_id=workflow_execution_id,
            node_id=node_id,
            region=region,
            plan=plan,
        )
        invocation = invocation_input(
            request, caller, idempotency_key=idempotency_key, deadline_s=deadline_s, metadata=metadata
        )
        workflow = await start_workflow(self._temporal, invocation, task_queue=self._task_queue, attach=True)
        return InvocationHandle(workflow, invocation)

    async def invoke(self, request: ChatRequest, **options: Any) -> InvocationResult:
        """Start and wait. Takes the options of `start`; raises as `InvocationHandle.result` does."""
        return await (await self.start(request, **options)).result()

    async def stream(self, request: ChatRequest, **options: Any) -> AsyncIterator[Json]:
        """Start and yield governed chunks; raises at the end what a blocked or failed invocation ended with."""
        handle = await self.start(request.model_copy(update={"stream": True}), **options)
        seen = False
        async for chunk in handle.chunks():
            seen = True
            yield chunk
        result = await handle.result()
        if not seen and result.answer is not None:  # the key's invocation had ended before
            for chunk in chunks_of(result.answer):
                yield chunk


def invocation_input(
    request: ChatRequest,
    caller: Caller,
    *,
    idempotency_key: str | None = None,
    deadline_s: float = 600,
    metadata: dict[str, str] | None = None,
    invocation_id: UUID | None = None,
    accepted_at: float | None = None,
) -> InvocationInput:
    """The workflow's input. In a workflow of your own pass `workflow.uuid4()` and `workflow.time()` for the last two.

    Raises PayloadTooLarge for a request that does not fit into Temporal's history.
    """
    size = len(request.model_dump_json())
    if size > HISTORY_PAYLOAD_BYTES:
        raise PayloadTooLarge(
            f"The request has {size} bytes; over Temporal at most {HISTORY_PAYLOAD_BYTES} can be sent. "
            "Send it to POST /api/v1/invocations instead.",
            param="messages",
        )
    identity = invocation_id or uuid4()
    return InvocationInput(
        invocation_id=identity,
        caller=caller,
        idempotency_key=idempotency_key or str(identity),
        fingerprint=fingerprint(request, caller),
        request=request,
        model=request.model,
        stream=bool(request.stream),
        stream_through_workflow=bool(request.stream),
        deadline_s=deadline_s,
        accepted_at=time.time() if accepted_at is None else accepted_at,
        metadata=metadata or {},
    )


def _as_ours(failure: WorkflowFailureError) -> CustomhouseError:
    cause = failure.cause
    if isinstance(cause, CancelledError):
        return InvocationCancelled("The invocation was cancelled.")
    if isinstance(cause, ApplicationError) and cause.details:
        details = cause.details[0]
        if "invocation_id" not in details:  # it was refused before there was an invocation
            return from_record(ErrorRecord.model_validate(details))
        try:
            raise_unless_completed(InvocationResult.model_validate(details))
        except CustomhouseError as error:
            return error
    return InvocationFailed(f"The invocation's workflow failed: {cause}")
