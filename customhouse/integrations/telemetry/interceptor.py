"""One trace through API, workflow and activities, carried by Temporal's headers.

The SDK's own interceptor is not used: it cannot give an invocation its own trace id where no traced client started it,
its workflow spans have no duration, and it writes exception messages, which may hold content, into spans. Ours speaks
the same header, so that an agent runtime traced by the SDK's interceptor is linked from our trace.

In the workflow nothing of OpenTelemetry runs: its span id comes from the run id, so that every replay, on any worker,
names the same parent, and the span itself is written once, when the workflow ends for the first time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn
from uuid import UUID

import temporalio.activity
from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    get_current_span,
    set_span_in_context,
    use_span,
)
from temporalio import client, worker, workflow
from temporalio.api.common.v1 import Payload
from temporalio.exceptions import ApplicationError

from customhouse.contracts.errors import CustomhouseError
from customhouse.integrations import genai_attributes as genai
from customhouse.integrations.telemetry.ids import InvocationIdGenerator
from customhouse.integrations.telemetry.trace_header import TraceParent, read_header, write_header

_END_SPAN = "__customhouse_end_workflow_span"

WORKFLOW_ID, RUN_ID, ACTIVITY_ID = "temporalWorkflowID", "temporalRunID", "temporalActivityID"
"""As the SDK's own interceptors name them."""


class TraceInterceptor(client.Interceptor, worker.Interceptor):
    """Give it to the client alone: its workers take it from there."""

    def __init__(self, tracer: Tracer, ids: InvocationIdGenerator) -> None:
        self._tracer = tracer
        self._ids = ids

    def intercept_client(self, next: client.OutboundInterceptor) -> client.OutboundInterceptor:  # noqa: A002 - the SDK's name
        return _ClientTrace(next, self._tracer)

    def intercept_activity(self, next: worker.ActivityInboundInterceptor) -> worker.ActivityInboundInterceptor:  # noqa: A002
        return _ActivityTrace(next, self._tracer)

    def workflow_interceptor_class(
        self,
        input: worker.WorkflowInterceptorClassInput,  # noqa: A002
    ) -> type[worker.WorkflowInboundInterceptor]:
        input.unsafe_extern_functions[_END_SPAN] = self._end_workflow_span
        return _WorkflowTrace

    def _end_workflow_span(
        self,
        name: str,
        own: TraceParent,
        parent: TraceParent | None,
        link: TraceParent | None,
        started_ns: int,
        error_type: str | None,
        attributes: dict[str, str],
    ) -> None:
        with self._ids.laid_down(trace_id=own.trace_id, span_id=own.span_id):
            span = self._tracer.start_span(
                name,
                context=_context(parent),
                kind=SpanKind.INTERNAL,
                attributes=attributes,
                links=[Link(_span_context(link))] if link else None,
                start_time=started_ns,
            )
        if error_type is not None:
            _mark(span, error_type)
        span.end(end_time=max(time.time_ns(), started_ns))


class _ClientTrace(client.OutboundInterceptor):
    def __init__(self, next: client.OutboundInterceptor, tracer: Tracer) -> None:  # noqa: A002
        super().__init__(next)
        self._tracer = tracer

    async def start_workflow(self, input: client.StartWorkflowInput) -> client.WorkflowHandle[Any, Any]:  # noqa: A002
        span = self._tracer.start_span(
            f"StartWorkflow:{input.workflow}", kind=SpanKind.CLIENT, attributes={WORKFLOW_ID: input.id}
        )
        # The workflow is the caller's child, not this span's: it outlives the request that starts it.
        parent = get_current_span().get_span_context()
        if not parent.is_valid:
            parent = span.get_span_context()
        input.headers = write_header(input.headers, TraceParent(parent.trace_id, parent.span_id))
        try:
            return await super().start_workflow(input)
        except BaseException as error:
            _mark(span, error_type(error))
            raise
        finally:
            span.end()


class _ActivityTrace(worker.ActivityInboundInterceptor):
    def __init__(self, next: worker.ActivityInboundInterceptor, tracer: Tracer) -> None:  # noqa: A002
        super().__init__(next)
        self._tracer = tracer

    async def execute_activity(self, input: worker.ExecuteActivityInput) -> Any:  # noqa: A002
        info = temporalio.activity.info()
        span = self._tracer.start_span(
            f"RunActivity:{info.activity_type}",
            context=_context(read_header(input.headers)),
            attributes={
                WORKFLOW_ID: info.workflow_id or "",
                RUN_ID: info.workflow_run_id or "",
                ACTIVITY_ID: info.activity_id,
                "customhouse.activity.local": info.is_local,
                "customhouse.activity.attempt": info.attempt,
            },
        )
        try:
            with use_span(span, record_exception=False, set_status_on_exception=False):
                return await super().execute_activity(input)
        except BaseException as error:
            _mark(span, error_type(error))
            raise
        finally:
            span.end()


class _WorkflowTrace(worker.WorkflowInboundInterceptor):
    """One instance a workflow run. Strings and integers only, for it also runs in the workflow sandbox."""

    def init(self, outbound: worker.WorkflowOutboundInterceptor) -> None:
        self._outbound = _WorkflowOutboundTrace(outbound)
        super().init(self._outbound)

    async def execute_workflow(self, input: worker.ExecuteWorkflowInput) -> Any:  # noqa: A002
        info = workflow.info()
        given = read_header(input.headers)
        invocation_id = _invocation_id(input.args)
        own = TraceParent(_own_trace_id(invocation_id, given, info.run_id), UUID(info.run_id).int & (2**64 - 1))
        in_trace = given is not None and given.trace_id == own.trace_id
        self._outbound.parent = own

        def end(error: BaseException | None) -> None:
            if workflow.unsafe.is_replaying():
                return
            attributes = {WORKFLOW_ID: info.workflow_id, RUN_ID: info.run_id}
            if invocation_id is not None:
                attributes[genai.INVOCATION_ID] = str(invocation_id)
            write: Callable[..., None] = workflow.extern_functions()[_END_SPAN]
            write(
                f"RunWorkflow:{info.workflow_type}",
                own,
                given if in_trace else None,
                None if in_trace else given,
                int(info.start_time.timestamp() * 1e9),
                None if error is None else error_type(error),
                attributes,
            )

        try:
            result = await super().execute_workflow(input)
        except asyncio.CancelledError as error:
            # Also raised where the run is put out of the cache; then it has not ended.
            if workflow.cancellation_reason() is not None:
                end(error)
            raise
        except Exception as error:
            # Any other exception fails the workflow task, which is tried again.
            if workflow.is_failure_exception(error):
                end(error)
            raise
        end(None)
        return result


class _WorkflowOutboundTrace(worker.WorkflowOutboundInterceptor):
    parent: TraceParent | None = None
    """The workflow's span, once it is known."""

    def start_activity(self, input: worker.StartActivityInput) -> workflow.ActivityHandle[Any]:  # noqa: A002
        input.headers = self._traced(input.headers)
        return super().start_activity(input)

    def start_local_activity(self, input: worker.StartLocalActivityInput) -> workflow.ActivityHandle[Any]:  # noqa: A002
        input.headers = self._traced(input.headers)
        return super().start_local_activity(input)

    async def start_child_workflow(
        self,
        input: worker.StartChildWorkflowInput,  # noqa: A002
    ) -> workflow.ChildWorkflowHandle[Any, Any]:
        input.headers = self._traced(input.headers)
        return await super().start_child_workflow(input)

    def continue_as_new(self, input: worker.ContinueAsNewInput) -> NoReturn:  # noqa: A002
        input.headers = self._traced(input.headers)
        super().continue_as_new(input)

    def _traced(self, headers: Mapping[str, Payload]) -> Mapping[str, Payload]:
        return headers if self.parent is None else write_header(headers, self.parent)


def error_type(error: BaseException) -> str:
    """`error.type`: a name with few values. Never the message, which may hold content."""
    if isinstance(error, ApplicationError) and error.type:
        return error.type
    return error.code if isinstance(error, CustomhouseError) else type(error).__qualname__


def _mark(span: Span, kind: str) -> None:
    span.set_attribute(genai.ERROR_TYPE, kind)
    span.set_status(Status(StatusCode.ERROR))


def _invocation_id(args: Any) -> UUID | None:
    found = getattr(args[0], "invocation_id", None) if args else None
    return found if isinstance(found, UUID) else None


def _own_trace_id(invocation_id: UUID | None, given: TraceParent | None, run_id: str) -> int:
    """An invocation's trace has the invocation's id, whoever starts it; other workflows join the trace they came by."""
    if invocation_id is not None:
        return invocation_id.int
    return given.trace_id if given is not None else UUID(run_id).int


def _span_context(parent: TraceParent) -> SpanContext:
    return SpanContext(parent.trace_id, parent.span_id, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _context(parent: TraceParent | None) -> Context:
    return Context() if parent is None else set_span_in_context(NonRecordingSpan(_span_context(parent)), Context())
