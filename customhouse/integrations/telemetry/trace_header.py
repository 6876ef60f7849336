"""W3C trace context in a Temporal header, in the form of the SDK's own interceptors."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from temporalio.api.common.v1 import Payload

HEADER = "_tracer-data"
"""The SDK's key: a JSON object with `traceparent`."""

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")
"""W3C Trace Context, 3.2; what a later version may append is ignored."""


@dataclass(frozen=True, slots=True)
class TraceParent:
    """A span, as its children name it."""

    trace_id: int
    span_id: int


def parse_traceparent(text: str) -> TraceParent | None:
    """None for anything malformed: the standard wants a broken one ignored, and it comes from outside."""
    match = _TRACEPARENT.fullmatch(text.strip())
    return None if match is None else TraceParent(int(match[1], 16), int(match[2], 16))


def write_header(headers: Mapping[str, Payload], parent: TraceParent) -> Mapping[str, Payload]:
    data = b'{"traceparent":"00-%032x-%016x-01"}' % (parent.trace_id, parent.span_id)
    return {**headers, HEADER: Payload(metadata={"encoding": b"json/plain"}, data=data)}


def read_header(headers: Mapping[str, Payload]) -> TraceParent | None:
    """None where there is no header, or none that can be read: a foreign client's oddity must not break a call."""
    payload = headers.get(HEADER)
    if payload is None:
        return None
    try:
        carrier = json.loads(payload.data)
    except ValueError:
        return None
    traceparent = carrier.get("traceparent") if isinstance(carrier, dict) else None
    return parse_traceparent(traceparent) if isinstance(traceparent, str) else None
