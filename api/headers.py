"""Response headers: what governance did and what it took."""

from __future__ import annotations

import time
from decimal import Decimal
from uuid import UUID

from activities.live import LiveInvocation
from customhouse.contracts.identity import trace_id
from customhouse.contracts.invocation import InvocationResult

INVOCATION_ID = "x-customhouse-invocation-id"
TRACE_ID = "x-customhouse-trace-id"
VERDICT = "x-customhouse-verdict"
COST_USD = "x-customhouse-cost-usd"
OVERHEAD_MS = "x-customhouse-overhead-ms"


def identity_headers(invocation_id: UUID) -> dict[str, str]:
    return {INVOCATION_ID: str(invocation_id), TRACE_ID: trace_id(invocation_id)}


def result_headers(result: InvocationResult, *, received_at: float, start_ms: float, replayed: bool) -> dict[str, str]:
    """For a whole answer (or its refusal), where everything is known before the first byte.

    Overhead is the whole time since the request came in, less the time that the provider took.
    """
    headers = identity_headers(result.invocation_id)
    headers[VERDICT] = result.verdict.value
    if result.usd_cost is not None:
        headers[COST_USD] = format_usd(result.usd_cost)
    if replayed:
        headers["idempotent-replayed"] = "true"
        return headers
    total_ms = (time.time() - received_at) * 1000
    headers[OVERHEAD_MS] = f"{max(0.0, total_ms - result.provider_ms):.1f}"
    timings = [("start", start_ms), *((step.name, step.duration_ms) for step in result.steps), ("total", total_ms)]
    headers["server-timing"] = ", ".join(f"{name.replace('.', '-')};dur={ms:.1f}" for name, ms in timings)
    return headers


def stream_headers(live: LiveInvocation, *, received_at: float, replayed: bool) -> dict[str, str]:
    """For a stream, when its first chunk is there. Cost and the final verdict follow in the stream's last comment."""
    headers = identity_headers(live.invocation_id)
    headers[VERDICT] = live.verdict.value
    if replayed:
        headers["idempotent-replayed"] = "true"
        return headers
    total_ms = (time.time() - received_at) * 1000
    headers[OVERHEAD_MS] = f"{max(0.0, total_ms - live.waited_ms):.1f}"
    return headers


def format_usd(amount: Decimal) -> str:
    """Plain digits, never an exponent."""
    return f"{amount.normalize():f}" if amount else "0"
