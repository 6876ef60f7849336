"""What a caller is told whose answer this process will not live to bring."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from customhouse.contracts.errors import NotReady


def stopping() -> NotReady:
    return NotReady(
        "This process is being stopped, and the invocation goes on without it. Send the request again with the same "
        "Idempotency-Key, or read GET /api/v1/invocations/{id}.",
        retry_after_s=1,
    )


@contextmanager
def told_when_stopped() -> Iterator[None]:
    """Uvicorn cancels what its grace period did not suffice for; left alone it would then send a bare 500.

    A client that hangs up cancels nothing, so a cancel here is always the server's stop.
    """
    try:
        yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        raise stopping() from None
