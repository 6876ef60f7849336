"""Does the collector really take a span? For `customhouse doctor`."""

from __future__ import annotations

from customhouse.contracts.errors import ConfigurationError, NotReady
from customhouse.integrations.telemetry.settings import TelemetrySettings


def probe_collector(settings: TelemetrySettings) -> None:
    """Send one span. Raises NotReady with the collector's or the network's reason; blocks for some 5 s at most."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from customhouse.integrations.telemetry.exporters import span_exporter
    from customhouse.integrations.telemetry.resource import build_resource
    from customhouse.integrations.telemetry.watch import CollectorWatch

    if settings.endpoint is None:
        raise ConfigurationError("no collector is configured: set CUSTOMHOUSE_OTLP_ENDPOINT", param="otlp_endpoint")
    made = InMemorySpanExporter()
    provider = TracerProvider(resource=build_resource(settings), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(made))
    provider.get_tracer("customhouse.doctor", settings.service_version).start_span("customhouse doctor").end()

    watch = CollectorWatch(settings.endpoint)
    watch.install()
    exporter = span_exporter(settings)
    try:
        if exporter.export(made.get_finished_spans()) is not SpanExportResult.SUCCESS:
            raise NotReady(
                f"the collector at {settings.endpoint} does not take spans by {settings.protocol} ({watch.reason()}): "
                "start it, or correct CUSTOMHOUSE_OTLP_ENDPOINT, CUSTOMHOUSE_OTLP_PROTOCOL or CUSTOMHOUSE_OTLP_HEADERS"
            )
    finally:
        exporter.shutdown()
        watch.remove()
