"""The one object that the parts of a process get to trace and measure with."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING
from uuid import UUID

from opentelemetry.context import Context
from opentelemetry.metrics import Meter, NoOpMeter
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NoOpTracer,
    Span,
    SpanContext,
    SpanKind,
    TraceFlags,
    Tracer,
    use_span,
)
from temporalio.client import Interceptor

from customhouse.contracts.governance import Verdict
from customhouse.contracts.invocation import InvocationStatus
from customhouse.integrations import genai_attributes as genai
from customhouse.integrations.telemetry.metrics import build_instruments
from customhouse.integrations.telemetry.provider_call import CallSpan, ProviderCallInfo, provider_call_span
from customhouse.integrations.telemetry.settings import TelemetrySettings
from customhouse.integrations.telemetry.trace_header import parse_traceparent

if TYPE_CHECKING:
    from customhouse.integrations.telemetry.ids import InvocationIdGenerator

_log = logging.getLogger("customhouse.telemetry")

SCOPE = "customhouse"
"""Instrumentation scope of all our spans and metrics."""

QUEUE_SIZE = 8192
"""Spans that wait for the collector: some 15 MB at most, and ten seconds' worth at 60 invocations a second."""

BATCH_SIZE = 64
"""Encoding holds the interpreter lock, 50 µs a span (measured): with 64 no call waits more than some 3 ms for it."""

BATCH_DELAY_MS = 1000

METRICS_INTERVAL_MS = 15_000

SHUTDOWN_S = 3.0


class Telemetry:
    """Tracer, meter and what is made with them. `build_telemetry` makes it; without a collector it does nothing."""

    def __init__(
        self,
        tracer: Tracer,
        meter: Meter,
        ids: InvocationIdGenerator | None = None,
        flush: Callable[[], object] | None = None,
        close: Callable[[], None] | None = None,
    ) -> None:
        self.tracer = tracer
        self.meter = meter
        self._ids = ids
        self._flush = flush
        self._close = close
        self._instruments = build_instruments(meter)

    @property
    def enabled(self) -> bool:
        return self._ids is not None

    @property
    def interceptors(self) -> tuple[Interceptor, ...]:
        """For `temporal_client.connect`; none while telemetry is off."""
        if self._ids is None:
            return ()
        from customhouse.integrations.telemetry.interceptor import TraceInterceptor

        return (TraceInterceptor(self.tracer, self._ids),)

    def start_invocation_span(
        self,
        name: str,
        invocation_id: UUID,
        *,
        traceparent: str | None = None,
        attributes: genai.Attributes | None = None,
    ) -> Span:
        """The root of an invocation's trace, whose id is the invocation's; the caller's own span becomes a link.

        The span is not made current and does not end by itself, because a streamed answer outlives the request's
        handler: see `current`.
        """
        if self._ids is None:
            return INVALID_SPAN
        caller = parse_traceparent(traceparent) if traceparent else None
        with self._ids.laid_down(trace_id=invocation_id.int):
            return self.tracer.start_span(
                name,
                context=Context(),
                kind=SpanKind.SERVER,
                attributes={genai.INVOCATION_ID: str(invocation_id), **(attributes or {})},
                links=[Link(SpanContext(caller.trace_id, caller.span_id, is_remote=True, trace_flags=TraceFlags(1)))]
                if caller
                else None,
            )

    @contextmanager
    def current(self, span: Span, *, end: bool) -> Iterator[Span]:
        """Make the span current within the block, so that what is started there becomes its child.

        Exceptions pass through unrecorded, for their messages may hold content.
        """
        with use_span(span, end_on_exit=end, record_exception=False, set_status_on_exception=False):
            yield span

    def provider_call(self, info: ProviderCallInfo) -> AbstractContextManager[CallSpan]:
        """Span and metrics around one attempt."""
        return provider_call_span(self.tracer, self._instruments, info) if self.enabled else _no_call()

    def invocation_ended(self, status: InvocationStatus, verdict: Verdict, overhead_s: float | None) -> None:
        """Count an invocation; its overhead where it is known."""
        if not self.enabled:
            return
        attributes = {genai.STATUS: status.value, genai.VERDICT: verdict.value}
        self._instruments.invocations.add(1, attributes)
        if overhead_s is not None:
            self._instruments.overhead.record(overhead_s, attributes)

    def flush(self) -> None:
        """Export what is waiting now. Blocks, for as long as an export may take."""
        if self._flush is not None:
            self._flush()

    def shutdown(self, timeout_s: float = SHUTDOWN_S) -> None:
        """Export what is waiting and stop. Blocks, for `timeout_s` at most: a collector that hangs is left behind."""
        if self._close is None:
            return
        # A daemon thread, so that an export that still hangs does not keep the process from ending.
        thread = threading.Thread(target=self._close, name="telemetry-shutdown", daemon=True)
        thread.start()
        thread.join(timeout_s)
        if thread.is_alive():
            _log.warning("the collector did not take the last telemetry within %.0f s: it is lost", timeout_s)


@contextmanager
def _no_call() -> Iterator[CallSpan]:
    yield CallSpan()


def build_telemetry(settings: TelemetrySettings) -> Telemetry:
    """Raises ConfigurationError only through `TelemetrySettings`; a collector that is down is no error."""
    if settings.endpoint is None:
        return Telemetry(NoOpTracer(), NoOpMeter(SCOPE))

    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from customhouse.integrations.telemetry.exporters import (
        EXPORT_TIMEOUT_S,
        WatchedMetricExporter,
        WatchedSpanExporter,
        metric_exporter,
        span_exporter,
    )
    from customhouse.integrations.telemetry.ids import InvocationIdGenerator
    from customhouse.integrations.telemetry.resource import build_resource
    from customhouse.integrations.telemetry.watch import CollectorWatch

    watch = CollectorWatch(settings.endpoint)
    watch.install()
    resource = build_resource(settings)
    ids = InvocationIdGenerator()
    tracing = TracerProvider(resource=resource, id_generator=ids, shutdown_on_exit=False)
    tracing.add_span_processor(
        BatchSpanProcessor(
            WatchedSpanExporter(span_exporter(settings), watch),
            max_queue_size=QUEUE_SIZE,
            schedule_delay_millis=BATCH_DELAY_MS,
            max_export_batch_size=BATCH_SIZE,
        )
    )
    reader = PeriodicExportingMetricReader(
        WatchedMetricExporter(metric_exporter(settings), watch),
        export_interval_millis=METRICS_INTERVAL_MS,
        export_timeout_millis=EXPORT_TIMEOUT_S * 1000,
    )
    metering = MeterProvider([reader], resource=resource, shutdown_on_exit=False)

    def flush() -> None:
        tracing.force_flush()
        metering.force_flush(EXPORT_TIMEOUT_S * 1000)

    def close() -> None:
        # Side by side: each may wait for a hanging export.
        spans = threading.Thread(target=tracing.shutdown, name="spans-shutdown", daemon=True)
        spans.start()
        metering.shutdown()
        spans.join()
        watch.remove()

    return Telemetry(
        tracing.get_tracer(SCOPE, settings.service_version),
        metering.get_meter(SCOPE, settings.service_version),
        ids,
        flush,
        close,
    )
