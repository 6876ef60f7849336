"""The instruments, named and bucketed as the GenAI semantic conventions have them, and our own."""

from __future__ import annotations

from dataclasses import dataclass

from opentelemetry.metrics import Counter, Histogram, Meter

from customhouse.integrations import genai_attributes as genai

TOKEN_BUCKETS = (1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864)
"""Tokens. Semantic conventions for generative client metrics, `gen_ai.client.token.usage`."""

DURATION_BUCKETS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""Seconds. The same, `gen_ai.client.operation.duration`."""

OVERHEAD_BUCKETS = (0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5)
"""Seconds; fine around the 20 to 40 ms that a governed call is meant to add."""


@dataclass(frozen=True, slots=True)
class Instruments:
    """Made once a process."""

    token_usage: Histogram
    operation_duration: Histogram
    time_to_first_chunk: Histogram
    overhead: Histogram
    invocations: Counter


def build_instruments(meter: Meter) -> Instruments:
    """A disabled meter gives instruments that do nothing."""
    return Instruments(
        token_usage=meter.create_histogram(
            genai.CLIENT_TOKEN_USAGE,
            unit="{token}",
            description="Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=TOKEN_BUCKETS,
        ),
        operation_duration=meter.create_histogram(
            genai.CLIENT_OPERATION_DURATION,
            unit="s",
            description="GenAI operation duration.",
            explicit_bucket_boundaries_advisory=DURATION_BUCKETS,
        ),
        time_to_first_chunk=meter.create_histogram(
            genai.CLIENT_TIME_TO_FIRST_CHUNK,
            unit="s",
            description="Time to receive the first chunk of a streamed answer.",
            explicit_bucket_boundaries_advisory=DURATION_BUCKETS,
        ),
        overhead=meter.create_histogram(
            genai.OVERHEAD_DURATION,
            unit="s",
            description="Time of a governed invocation less the provider's time.",
            explicit_bucket_boundaries_advisory=OVERHEAD_BUCKETS,
        ),
        invocations=meter.create_counter(
            genai.INVOCATIONS,
            unit="{invocation}",
            description="Invocations that have ended, by status and verdict.",
        ),
    )
