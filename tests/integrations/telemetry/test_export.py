"""What reaches a collector, and what a bad one does to us: nothing but one word in the log."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal
from uuid import UUID

import pytest
from opentelemetry.trace import get_tracer_provider
from opentelemetry.trace.propagation import get_current_span

from customhouse.contracts.catalog import Deployment, Provider
from customhouse.contracts.chat import ChatCompletion, ChatRequest, Choice, Message, Usage
from customhouse.contracts.errors import ConfigurationError, FailureKind, NotReady, ProviderError
from customhouse.contracts.governance import Verdict
from customhouse.contracts.invocation import InvocationStatus
from customhouse.integrations.telemetry import (
    ProviderCallInfo,
    Telemetry,
    TelemetrySettings,
    build_telemetry,
    probe_collector,
)
from customhouse.integrations.telemetry.watch import EXPORT_LOGGERS, CollectorWatch
from tests.integrations.telemetry.collector import (
    Collector,
    free_port,
    grpc_collector,
    hanging_collector,
    http_collector,
    refusing_collector,
    spoken_to_by,
    values,
    wait_until,
)

INVOCATION = UUID("0199aaaa-bbbb-7ccc-8ddd-eeeeffff0001")
ORGANIZATION = UUID("0199aaaa-bbbb-7ccc-8ddd-eeeeffff0002")

Running = Callable[[], AbstractContextManager[Collector]]


def _call(**changes: object) -> ProviderCallInfo:
    provider = Provider.model_validate({"name": "mock", "kind": "openai", "base_url": "http://127.0.0.1:9100/v1"})
    request = ChatRequest(
        model="m", messages=[Message(role="user", content="the secret prompt")], temperature=0.5, max_tokens=7, n=2
    )
    fields = {
        "deployment": Deployment(model="m", provider="mock", region="eu", upstream_model="upstream-m"),
        "provider": provider,
        "request": request,
        "stream": True,
        "invocation_id": INVOCATION,
        "organization_id": ORGANIZATION,
        "policy_version": "default@1",
        "attempt": 2,
    }
    return ProviderCallInfo(**{**fields, **changes})  # type: ignore[arg-type]


def _answer() -> ChatCompletion:
    message = {"role": "assistant", "content": "the secret answer"}
    return ChatCompletion(
        id="chatcmpl-1", created=1, model="m-2026", choices=[Choice(message=message, finish_reason="stop")]
    )


def _make_everything(telemetry: Telemetry) -> None:
    with telemetry.provider_call(_call()) as call:
        call.answered(
            _answer(),
            usage=Usage(prompt_tokens=11, completion_tokens=22, total_tokens=33),
            usd_cost=Decimal("0.0015"),
            verdict=Verdict.ALLOW,
            time_to_first_chunk_s=0.25,
        )
    telemetry.invocation_ended(InvocationStatus.COMPLETED, Verdict.ALLOW, 0.021)


@pytest.mark.parametrize("running", [grpc_collector, http_collector], ids=["grpc", "http"])
def test_spans_metrics_and_resource_arrive(running: Running) -> None:
    with running() as collector:
        telemetry = build_telemetry(collector.settings)
        _make_everything(telemetry)
        telemetry.shutdown()

    resource = collector.resource
    assert {
        name: resource[name]
        for name in (
            "service.name",
            "service.namespace",
            "service.version",
            "service.instance.id",
            "deployment.environment.name",
            "telemetry.sdk.language",
        )
    } == {
        "service.name": "customhouse",
        "service.namespace": "customhouse",
        "service.version": "1.2.3",
        "service.instance.id": "instance-1",
        "deployment.environment.name": "test",
        "telemetry.sdk.language": "python",
    }
    assert not any("command" in name for name in resource)
    assert collector.headers[0]["x-access-token"] == "t0ken"

    span = collector.span("chat upstream-m")
    assert span.kind == span.SPAN_KIND_CLIENT
    assert values(span.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "mock",
        "gen_ai.request.model": "upstream-m",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 7,
        "gen_ai.request.choice.count": 2,
        "gen_ai.request.stream": True,
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.model": "m-2026",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.response.time_to_first_chunk": 0.25,
        "gen_ai.usage.input_tokens": 11,
        "gen_ai.usage.output_tokens": 22,
        "server.address": "127.0.0.1",
        "server.port": 9100,
        "customhouse.invocation.id": str(INVOCATION),
        "customhouse.organization.id": str(ORGANIZATION),
        "customhouse.deployment.id": "m@mock@eu",
        "customhouse.policy.version": "default@1",
        "customhouse.attempt.number": 2,
        "customhouse.verdict": "allow",
        "customhouse.cost.usd": 0.0015,
    }
    usage = {
        values(p.attributes)["gen_ai.token.type"]: p
        for p in collector.metric("gen_ai.client.token.usage").histogram.data_points
    }
    assert (usage["input"].sum, usage["output"].sum) == (11, 22)
    assert list(usage["input"].explicit_bounds)[:4] == [1, 4, 16, 64]
    (duration,) = collector.metric("gen_ai.client.operation.duration").histogram.data_points
    assert (duration.count, next(iter(duration.explicit_bounds)), duration.explicit_bounds[-1]) == (1, 0.01, 81.92)
    (overhead,) = collector.metric("customhouse.overhead.duration").histogram.data_points
    assert overhead.sum == pytest.approx(0.021)
    (ended,) = collector.metric("customhouse.invocations").sum.data_points
    assert values(ended.attributes) == {"customhouse.status": "completed", "customhouse.verdict": "allow"}
    assert b"secret" not in b"".join(r.SerializeToString() for r in [*collector.requests, *collector.metric_requests])


@pytest.mark.parametrize("raised", [True, False])
def test_a_failed_attempt_is_told_by_its_type(*, raised: bool) -> None:
    error = ProviderError("the secret prompt", kind=FailureKind.RETRYABLE, provider_status=429)
    with grpc_collector() as collector:
        telemetry = build_telemetry(collector.settings)
        if raised:
            with pytest.raises(ProviderError), telemetry.provider_call(_call()):
                raise error
        else:
            with telemetry.provider_call(_call()) as call:
                call.failed(error)
        telemetry.shutdown()
    span = collector.span("chat upstream-m")
    assert values(span.attributes)["error.type"] == "429"
    assert (span.status.code, span.status.message, list(span.events)) == (span.status.STATUS_CODE_ERROR, "", [])
    (duration,) = collector.metric("gen_ai.client.operation.duration").histogram.data_points
    assert values(duration.attributes)["error.type"] == "429"
    assert b"secret" not in collector.requests[0].SerializeToString()


def test_without_a_collector_nothing_is_made_and_nothing_is_global() -> None:
    before = get_tracer_provider()
    telemetry = build_telemetry(TelemetrySettings(endpoint=None, service_version="1", instance_id="i"))
    assert not telemetry.enabled
    assert telemetry.interceptors == ()
    root = telemetry.start_invocation_span("POST", INVOCATION, traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-01")
    with telemetry.current(root, end=True):
        assert not get_current_span().is_recording()
    _make_everything(telemetry)
    telemetry.flush()
    telemetry.shutdown()
    assert get_tracer_provider() is before


@pytest.mark.parametrize("endpoint", ["localhost:4317", "collector", "ftp://collector", "http://"])
def test_an_unusable_endpoint_is_refused_with_the_mend(endpoint: str) -> None:
    with pytest.raises(ConfigurationError, match="CUSTOMHOUSE_OTLP_ENDPOINT, such as"):
        TelemetrySettings(endpoint=endpoint, service_version="1", instance_id="i")


MISBEHAVING: dict[str, Running] = {
    "refused-grpc": lambda: refusing_collector("grpc"),
    "refused-http": lambda: refusing_collector("http"),
    "http-500": lambda: http_collector(status=500),
    "http-503": lambda: http_collector(status=503),
    "http-404": lambda: http_collector(status=404, content_type="text/html", body=b"<html>no such page</html>"),
    "web-page": lambda: http_collector(content_type="text/html", body=b"<html>welcome</html>"),
    "redirect": lambda: http_collector(status=302),
    "grpc-at-http": lambda: spoken_to_by("grpc", http_collector()),
    "http-at-grpc": lambda: spoken_to_by("http", grpc_collector()),
}


@pytest.fixture
def fast_exports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports that give up after half a second, so that the tests need not wait for the real limits."""
    monkeypatch.setattr("customhouse.integrations.telemetry.exporters.EXPORT_TIMEOUT_S", 0.5)


@pytest.mark.usefixtures("fast_exports")
@pytest.mark.parametrize("running", MISBEHAVING.values(), ids=MISBEHAVING.keys())
def test_a_bad_collector_is_reported_once(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with running() as collector:
        telemetry = build_telemetry(collector.settings)
        for _ in range(3):
            _make_everything(telemetry)
            telemetry.flush()
        telemetry.shutdown()
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("customhouse.telemetry", "WARNING")
    assert collector.endpoint in record.getMessage()
    assert "calls are not affected" in record.getMessage()
    assert "no reason given" not in record.getMessage()
    filters = [found for name in EXPORT_LOGGERS for found in logging.getLogger(name).filters]
    assert not any(isinstance(found, CollectorWatch) for found in filters)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_hanging_collector_holds_up_neither_calls_nor_the_end(
    protocol: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("customhouse.integrations.telemetry.telemetry.QUEUE_SIZE", 64)
    monkeypatch.setattr("customhouse.integrations.telemetry.exporters.EXPORT_TIMEOUT_S", 1)
    with hanging_collector(protocol) as collector:
        telemetry = build_telemetry(collector.settings)
        # More than the queue holds, from this one thread: none of them may wait.
        for _ in range(200):
            telemetry.tracer.start_span("a").end()
        telemetry.shutdown(timeout_s=0.2)
        messages = [record.getMessage() for record in caplog.records]
        assert len([m for m in messages if "slower than spans are made" in m]) == 1
        assert len([m for m in messages if "it is lost" in m]) == 1
        # The threads left behind must not outlive this test's collector and speak into another test.
        wait_until(lambda: not any(t.name == "telemetry-shutdown" for t in threading.enumerate()))


@pytest.mark.usefixtures("fast_exports")
@pytest.mark.parametrize(("running", "protocol"), [(grpc_collector, "grpc"), (http_collector, "http")])
def test_recovery_is_reported_once_and_spans_flow_again(
    running: Callable[[int], AbstractContextManager[Collector]], protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    port = free_port()
    telemetry = build_telemetry(Collector(f"http://127.0.0.1:{port}", protocol).settings)
    telemetry.tracer.start_span("lost").end()
    telemetry.flush()
    with running(port) as collector:

        def arrived() -> bool:
            telemetry.tracer.start_span("kept").end()
            telemetry.invocation_ended(InvocationStatus.COMPLETED, Verdict.ALLOW, None)
            telemetry.flush()
            return len([r for r in caplog.records if r.levelname == "INFO"]) > 0

        wait_until(arrived)
        telemetry.shutdown()
    assert [r.levelname for r in caplog.records] == ["WARNING", "INFO"]
    assert {span.name for span in collector.spans} == {"kept"}


def test_the_doctors_probe_tells_the_reason() -> None:
    for running in (grpc_collector, http_collector):
        with running() as collector:
            probe_collector(collector.settings)
            assert [span.name for span in collector.spans] == ["customhouse doctor"]
    with http_collector(status=401) as refusing, pytest.raises(NotReady, match=r"(?s)by http \(.*401"):
        probe_collector(refusing.settings)
