"""Streams that a worker in another process makes: their chunks come through the workflow to the callers here."""

from __future__ import annotations

import asyncio
import logging

from temporalio.client import Client, WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.contrib.workflow_streams import WorkflowStreamClient
from temporalio.exceptions import TemporalError
from temporalio.service import RPCError

from activities.live import LiveInvocation
from customhouse.client import CHUNKS
from customhouse.contracts.chat import Json
from customhouse.contracts.chunks import ChunkBatch

log = logging.getLogger(__name__)


class Relay:
    """Brings each invocation's chunks into this process once, for as many as follow it here."""

    def __init__(self, temporal: Client) -> None:
        self._temporal = temporal
        self._running: set[asyncio.Task[None]] = set()

    def begin(self, live: LiveInvocation, workflow_id: str) -> None:
        """Until the workflow ends, or nobody follows it here any more. What has chunks gets them already."""
        if live.is_relayed or live.chunks:
            return
        live.is_relayed = live.was_relayed = True
        task = asyncio.create_task(self._relay(live, workflow_id))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _relay(self, live: LiveInvocation, workflow_id: str) -> None:
        stream = WorkflowStreamClient(self._temporal.get_workflow_handle(workflow_id))
        try:
            async for item in stream.subscribe([CHUNKS], result_type=Json):
                batch = ChunkBatch.model_validate(item.data)
                if live.watchers == 0:
                    return  # who comes back gets a relay of their own, from the start
                live.take(batch.attempt, batch.chunks, verdict=batch.verdict, waited_ms=batch.waited_ms)
        except (
            RPCError,
            TemporalError,
            WorkflowUpdateFailedError,
            WorkflowUpdateRPCTimeoutOrCancelledError,
        ) as error:
            # It was started without a stream (through another door, under the same key), or Temporal is away. Who has
            # seen no chunk yet gets the answer whole.
            log.info("a stream cannot be relayed", extra={"error": str(error)})
            live.interrupt()
        finally:
            live.is_relayed = False
            live.notify()
