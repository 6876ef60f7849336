"""Real OTLP receivers in the test process, over gRPC and HTTP, and the ways in which a collector may misbehave."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as traces_grpc
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from customhouse.integrations.telemetry import TelemetrySettings


@dataclass
class Collector:
    """What has arrived."""

    endpoint: str
    protocol: Any
    requests: list[traces.ExportTraceServiceRequest] = field(default_factory=list)
    metric_requests: list[metrics.ExportMetricsServiceRequest] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def settings(self) -> TelemetrySettings:
        return TelemetrySettings(
            endpoint=self.endpoint,
            protocol=self.protocol,
            headers={"x-access-token": "t0ken"},
            service_version="1.2.3",
            environment="test",
            instance_id="instance-1",
        )

    @property
    def spans(self) -> list[Span]:
        return [s for r in list(self.requests) for rs in r.resource_spans for ss in rs.scope_spans for s in ss.spans]

    @property
    def resource(self) -> dict[str, Any]:
        return values(self.requests[0].resource_spans[0].resource.attributes)

    def metric(self, name: str) -> Metric:
        found = [
            m
            for r in self.metric_requests
            for rm in r.resource_metrics
            for sm in rm.scope_metrics
            for m in sm.metrics
            if m.name == name
        ]
        return found[-1]

    def span(self, name: str) -> Span:
        (found,) = (span for span in self.spans if span.name == name)
        return found


def values(attributes: Any) -> dict[str, Any]:
    return {a.key: _value(a.value) for a in attributes if isinstance(a, KeyValue)}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(v) for v in value.array_value.values]
    return getattr(value, kind) if kind else None


def wait_until(condition: Callable[[], bool], deadline_s: float = 20.0) -> None:
    """Poll: the exporters work in threads of their own."""
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        threading.Event().wait(0.01)


@contextmanager
def grpc_collector(port: int = 0) -> Iterator[Collector]:
    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    collector = Collector(f"http://127.0.0.1:{port}", "grpc")

    class TraceService(traces_grpc.TraceServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
            collector.headers.append(dict(context.invocation_metadata()))
            collector.requests.append(request)
            return traces.ExportTraceServiceResponse()

    class MetricsService(metrics_grpc.MetricsServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
            collector.metric_requests.append(request)
            return metrics.ExportMetricsServiceResponse()

    traces_grpc.add_TraceServiceServicer_to_server(TraceService(), server)  # type: ignore[no-untyped-call]
    metrics_grpc.add_MetricsServiceServicer_to_server(MetricsService(), server)  # type: ignore[no-untyped-call]
    server.start()
    try:
        yield collector
    finally:
        server.stop(0).wait()


@contextmanager
def http_collector(
    port: int = 0, status: int = 200, content_type: str = "application/x-protobuf", body: bytes = b""
) -> Iterator[Collector]:
    """With another status or body than the defaults, a server that is no collector."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            if status == 200 and not body:
                collector.headers.append({k.lower(): v for k, v in self.headers.items()})
                if self.path == "/v1/traces":
                    collector.requests.append(traces.ExportTraceServiceRequest.FromString(data))
                elif self.path == "/v1/metrics":
                    collector.metric_requests.append(metrics.ExportMetricsServiceRequest.FromString(data))
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            if 300 <= status < 400:
                self.send_header("Location", "/login")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Silent."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_address[1]}", "http")
        with _serving(server):
            yield collector


@contextmanager
def hanging_collector(protocol: str) -> Iterator[Collector]:
    """Accepts connections and never answers."""
    stop = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            stop.wait()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server, _serving(server):
        try:
            yield Collector(f"http://127.0.0.1:{server.server_address[1]}", protocol)
        finally:
            stop.set()


@contextmanager
def refusing_collector(protocol: str) -> Iterator[Collector]:
    """Nobody listens."""
    yield Collector(f"http://127.0.0.1:{free_port()}", protocol)


@contextmanager
def spoken_to_by(protocol: str, running: AbstractContextManager[Collector]) -> Iterator[Collector]:
    """The same server, under the wrong protocol."""
    with running as collector:
        yield Collector(collector.endpoint, protocol)


@contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port
