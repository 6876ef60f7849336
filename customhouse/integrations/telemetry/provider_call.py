"""Span and metrics of one attempt at a provider, by the GenAI semantic conventions. No content."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, use_span

from customhouse.contracts.catalog import Deployment, Provider
from customhouse.contracts.chat import ChatCompletion, ChatRequest, Usage
from customhouse.contracts.errors import ProviderError
from customhouse.contracts.governance import Verdict
from customhouse.integrations import genai_attributes as genai
from customhouse.integrations.telemetry.metrics import Instruments


@dataclass(frozen=True, slots=True)
class ProviderCallInfo:
    """What is known before the provider is called."""

    deployment: Deployment
    provider: Provider
    request: ChatRequest
    stream: bool
    invocation_id: UUID
    organization_id: UUID
    policy_version: str
    attempt: int


class CallSpan:
    """Told how the attempt ended. Each method may be left out; a raised exception marks the span by itself."""

    def answered(
        self,
        answer: ChatCompletion,
        *,
        usage: Usage | None,
        usd_cost: Decimal | None,
        verdict: Verdict,
        time_to_first_chunk_s: float | None = None,
    ) -> None:
        """The provider answered. `usage` None: it counted nothing, and estimates are no measurements."""

    def failed(self, error: ProviderError) -> None:
        """The provider failed, where the error is handled within and not raised."""


class _RecordingCallSpan(CallSpan):
    def __init__(self, span: Span, instruments: Instruments, operation: genai.Attributes) -> None:
        self._span = span
        self._instruments = instruments
        self.operation = operation
        """Attributes of the metrics; grows as the attempt goes on."""

    def answered(
        self,
        answer: ChatCompletion,
        *,
        usage: Usage | None,
        usd_cost: Decimal | None,
        verdict: Verdict,
        time_to_first_chunk_s: float | None = None,
    ) -> None:
        attributes = genai.answer_attributes(answer, usage)
        attributes[genai.VERDICT] = verdict.value
        if usd_cost is not None:
            attributes[genai.COST_USD] = float(usd_cost)
        self.operation |= genai.response_model_attributes(answer)
        if usage is not None:
            for kind, tokens in (
                (genai.INPUT_TOKENS, usage.prompt_tokens),
                (genai.OUTPUT_TOKENS, usage.completion_tokens),
            ):
                self._instruments.token_usage.record(tokens, {**self.operation, genai.TOKEN_TYPE: kind})
        if time_to_first_chunk_s is not None:
            attributes |= genai.time_to_first_chunk_attributes(time_to_first_chunk_s)
            self._instruments.time_to_first_chunk.record(time_to_first_chunk_s, self.operation)
        self._span.set_attributes(attributes)

    def failed(self, error: ProviderError) -> None:
        # The conventions: the provider's status where it answered, else the kind of error. Messages may hold content.
        self.mark(str(error.provider_status) if error.provider_status else error.provider_code or error.kind.value)

    def mark(self, error_type: str) -> None:
        self.operation[genai.ERROR_TYPE] = error_type
        self._span.set_attribute(genai.ERROR_TYPE, error_type)
        self._span.set_status(Status(StatusCode.ERROR))


@contextmanager
def provider_call_span(tracer: Tracer, instruments: Instruments, info: ProviderCallInfo) -> Iterator[CallSpan]:
    """A CLIENT span, current while the provider is called; duration, tokens and errors are recorded as metrics."""
    operation = genai.operation_attributes(info.deployment, info.provider)
    span = tracer.start_span(
        genai.span_name(info.deployment),
        kind=SpanKind.CLIENT,
        attributes={
            **operation,
            **genai.request_attributes(info.request, stream=info.stream),
            genai.INVOCATION_ID: str(info.invocation_id),
            genai.ORGANIZATION_ID: str(info.organization_id),
            genai.DEPLOYMENT_ID: info.deployment.id,
            genai.POLICY_VERSION: info.policy_version,
            genai.ATTEMPT_NUMBER: info.attempt,
        },
    )
    call = _RecordingCallSpan(span, instruments, operation)
    began = time.perf_counter()
    try:
        # The SDK would put exception messages, and so content, into the span.
        with use_span(span, record_exception=False, set_status_on_exception=False):
            yield call
    except ProviderError as error:
        call.failed(error)
        raise
    except BaseException as error:
        # Cancellation too: the attempt ended here, and its span must say so.
        call.mark(type(error).__qualname__)
        raise
    finally:
        instruments.operation_duration.record(time.perf_counter() - began, call.operation)
        span.end()
