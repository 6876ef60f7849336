"""What to tell the caller whose invocation Temporal did not start."""

from __future__ import annotations

from temporalio.service import RPCError, RPCStatusCode

from customhouse.contracts.errors import CustomhouseError, NotReady, PayloadTooLarge

_OVER_A_LIMIT = ("exceeds", "larger than", "too large", "too long")
"""Words of Temporal's refusals by size: a payload over 2 MiB (INVALID_ARGUMENT) or a gRPC message over 4 MiB
(RESOURCE_EXHAUSTED). Both statuses also have other causes, which are not the caller's."""


def refused_start(error: RPCError) -> CustomhouseError:
    """413 where the call is too large for Temporal, which no second try changes; else 503."""
    by_size = error.status in (RPCStatusCode.INVALID_ARGUMENT, RPCStatusCode.RESOURCE_EXHAUSTED)
    if by_size and any(words in error.message.lower() for words in _OVER_A_LIMIT):
        return PayloadTooLarge(
            "The call's own data is too large for Temporal. Send less beside the messages: shorter labels and keys.",
            param="body",
        )
    return NotReady(
        f"Temporal did not take the call ({error.status.name}). Try again; with an Idempotency-Key, nothing is "
        "done twice.",
        retry_after_s=1,
    )
