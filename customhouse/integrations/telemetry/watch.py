"""One word on a collector that fails, and one when it works again, however often the exporters complain."""

from __future__ import annotations

import logging
import threading

_log = logging.getLogger("customhouse.telemetry")

EXPORT_LOGGERS = (
    "opentelemetry.exporter.otlp.common.http",
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.sdk._shared_internal",
    "opentelemetry.sdk.metrics._internal.export",
)
"""Where the SDK and its exporters log each failed try (a filter is not inherited, so each is named)."""

_REASONS = 2
"""The exporters' last word on giving up often names no cause; the one before it does."""

_QUEUE_FULL = "Queue full"


class CollectorWatch(logging.Filter):
    """Told of every export by the exporters' wrappers; keeps their own log records back and takes the reason from them.

    Called from the exporters' threads and, where the queue overflows, from any thread that ends a span.
    """

    def __init__(self, endpoint: str) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._lock = threading.Lock()
        self._failing: set[str] = set()
        self._overflowing = False
        self._said = threading.local()

    def install(self) -> None:
        for name in EXPORT_LOGGERS:
            # In front of the SDK's own filter, which drops what resembles the last record, and with it our reason.
            logging.getLogger(name).filters.insert(0, self)

    def remove(self) -> None:
        for name in EXPORT_LOGGERS:
            logging.getLogger(name).removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if message.startswith(_QUEUE_FULL):
            self._overflowed()
        else:
            self._said.messages = [*self._messages(), message][-_REASONS:]
        return False

    def reason(self) -> str:
        """Why the export that this thread has just tried failed: the last that the exporter said."""
        messages, self._said.messages = self._messages(), []
        return "; ".join(dict.fromkeys(messages)) or "no reason given"

    def _messages(self) -> list[str]:
        found: list[str] = getattr(self._said, "messages", [])
        return found

    def succeeded(self, signal: str) -> None:
        self._said.messages = []
        with self._lock:
            recovered = signal in self._failing and len(self._failing) == 1
            self._failing.discard(signal)
            self._overflowing = False
        if recovered:
            _log.info("the collector at %s takes telemetry again", self._endpoint)

    def failed(self, signal: str, reason: str) -> None:
        with self._lock:
            first = not self._failing and not self._overflowing
            self._failing.add(signal)
        if first:
            _log.warning(
                "the collector at %s does not take %s (%s): they are dropped until it does; calls are not affected. "
                "Check CUSTOMHOUSE_OTLP_ENDPOINT, CUSTOMHOUSE_OTLP_PROTOCOL and CUSTOMHOUSE_OTLP_HEADERS",
                self._endpoint,
                signal,
                reason,
            )

    def _overflowed(self) -> None:
        with self._lock:
            first = not self._failing and not self._overflowing
            self._overflowing = True
        if first:
            _log.warning(
                "the collector at %s is slower than spans are made: the oldest are dropped; calls are not affected",
                self._endpoint,
            )
