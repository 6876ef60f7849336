"""Trace and span ids: random, except where one is laid down beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator


class InvocationIdGenerator(IdGenerator):
    """Gives an invocation's root span the invocation's own 128 bits as trace id, so that every system shows one id."""

    def __init__(self) -> None:
        self._random = RandomIdGenerator()
        self._next_trace_id: ContextVar[int | None] = ContextVar("next_trace_id", default=None)
        self._next_span_id: ContextVar[int | None] = ContextVar("next_span_id", default=None)

    @contextmanager
    def laid_down(self, *, trace_id: int | None = None, span_id: int | None = None) -> Iterator[None]:
        """Spans started within get these ids. Start one only: a span id must be unique in its trace."""
        trace_token, span_token = self._next_trace_id.set(trace_id), self._next_span_id.set(span_id)
        try:
            yield
        finally:
            self._next_trace_id.reset(trace_token)
            self._next_span_id.reset(span_token)

    def generate_trace_id(self) -> int:
        return self._next_trace_id.get() or self._random.generate_trace_id()

    def generate_span_id(self) -> int:
        return self._next_span_id.get() or self._random.generate_span_id()

    def is_trace_id_random(self) -> bool:
        # Invocation ids are UUIDv7, whose last 62 bits are random (RFC 9562); W3C asks for 56.
        return True
