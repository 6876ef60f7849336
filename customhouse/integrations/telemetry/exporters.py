"""OTLP exporters over gRPC or HTTP, wrapped so that a bad collector is reported once and never raises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from customhouse.integrations.telemetry.settings import TelemetrySettings
from customhouse.integrations.telemetry.watch import CollectorWatch

if TYPE_CHECKING:
    import requests

EXPORT_TIMEOUT_S = 5
"""One export with all its retries. It runs in a thread of its own; what queues up meanwhile is bounded."""


class WatchedSpanExporter(SpanExporter):
    """Tells the watch how each export went."""

    def __init__(self, inner: SpanExporter, watch: CollectorWatch) -> None:
        self._inner = inner
        self._watch = watch

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._inner.export(spans)
        except Exception as error:  # noqa: BLE001 - whatever a collector provokes is told once, and must not end the thread
            self._watch.failed("spans", repr(error))
            return SpanExportResult.FAILURE
        if result is SpanExportResult.SUCCESS:
            self._watch.succeeded("spans")
        else:
            self._watch.failed("spans", self._watch.reason())
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._inner.force_flush(timeout_millis)


class WatchedMetricExporter(MetricExporter):
    """Tells the watch how each export went."""

    def __init__(self, inner: MetricExporter, watch: CollectorWatch) -> None:
        super().__init__(
            preferred_temporality=inner._preferred_temporality,  # noqa: SLF001 - the SDK's readers take it the same way
            preferred_aggregation=inner._preferred_aggregation,  # noqa: SLF001
        )
        self._inner = inner
        self._watch = watch

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = EXPORT_TIMEOUT_S * 1000, **kwargs: Any
    ) -> MetricExportResult:
        try:
            result = self._inner.export(metrics_data, timeout_millis, **kwargs)
        except Exception as error:  # noqa: BLE001 - as above
            self._watch.failed("metrics", repr(error))
            return MetricExportResult.FAILURE
        if result is MetricExportResult.SUCCESS:
            self._watch.succeeded("metrics")
        else:
            self._watch.failed("metrics", self._watch.reason())
        return result

    def shutdown(self, timeout_millis: float = EXPORT_TIMEOUT_S * 1000, **kwargs: Any) -> None:
        self._inner.shutdown(timeout_millis, **kwargs)

    def force_flush(self, timeout_millis: float = EXPORT_TIMEOUT_S * 1000) -> bool:
        return self._inner.force_flush(timeout_millis)


def span_exporter(settings: TelemetrySettings) -> SpanExporter:
    """The exporter of the configured protocol; only that one is imported."""
    if settings.protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter

        return GrpcSpanExporter(endpoint=settings.endpoint, headers=settings.headers, timeout=EXPORT_TIMEOUT_S)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter

    return HttpSpanExporter(
        endpoint=_signal_url(settings, "traces"),
        headers=settings.headers,
        timeout=EXPORT_TIMEOUT_S,
        session=_strict_session(),
    )


def metric_exporter(settings: TelemetrySettings) -> MetricExporter:
    """As `span_exporter`."""
    if settings.protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter

        return GrpcMetricExporter(endpoint=settings.endpoint, headers=settings.headers, timeout=EXPORT_TIMEOUT_S)
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetricExporter

    return HttpMetricExporter(
        endpoint=_signal_url(settings, "metrics"),
        headers=settings.headers,
        timeout=EXPORT_TIMEOUT_S,
        session=_strict_session(),
    )


def _signal_url(settings: TelemetrySettings, signal: str) -> str:
    # OTLP over HTTP: the base URL with /v1/<signal> appended. A URL that already ends so is a common mistake.
    base = (settings.endpoint or "").rstrip("/")
    for known in ("traces", "metrics", "logs"):
        base = base.removesuffix(f"/v1/{known}")
    return f"{base}/v1/{signal}"


def _strict_session() -> requests.Session:
    import requests

    session = requests.Session()
    session.hooks["response"].append(_only_otlp)
    return session


def _only_otlp(response: requests.Response, *_: Any, **__: Any) -> None:
    """Refuse what is no collector's answer: the exporter takes a web page's 200, or a redirect to one, for success."""
    from requests.exceptions import InvalidURL

    kind = response.headers.get("Content-Type", "")
    if response.is_redirect or (response.ok and kind.startswith("text/html")):
        response.close()
        raise InvalidURL(f"HTTP {response.status_code} with {kind or 'a redirect'}: no collector")
