"""Where released chunks go: to readers in this process and, where the invocation wants it, through the workflow."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from temporalio.contrib.workflow_streams import WorkflowStreamClient

from activities.live import Live
from customhouse.client import CHUNKS
from customhouse.contracts.chat import Json
from customhouse.contracts.chunks import ChunkBatch
from customhouse.contracts.governance import Direction
from customhouse.contracts.invocation import CallInput
from customhouse.contracts.timing import STREAM_BATCH
from customhouse.governance.policy import Policy
from customhouse.governance.verdict import decide

Publish = Callable[[list[Json], float], Awaitable[None]]
"""Takes released chunks and the milliseconds that the provider took to its first token."""


class ChunkSink:
    """Opens a way out for one attempt's chunks."""

    def __init__(self, live: Live, policy: Policy) -> None:
        self._live = live
        self._policy = policy

    @asynccontextmanager
    async def open(self, call: CallInput, attempt: int) -> AsyncIterator[Publish]:
        """Leaving the block waits until everything has been handed over."""
        invocation = call.invocation
        verdict = decide(call.decision.findings, self._policy, Direction.INPUT)

        async def publish(chunks: list[Json], waited_ms: float) -> None:
            self._live.publish(invocation.invocation_id, attempt, chunks, verdict=verdict, waited_ms=waited_ms)

        if not invocation.stream_through_workflow:
            yield publish
            return
        stream = WorkflowStreamClient.from_within_activity(batch_interval=STREAM_BATCH)
        topic = stream.topic(CHUNKS, type=Json)

        async def publish_both(chunks: list[Json], waited_ms: float) -> None:
            await publish(chunks, waited_ms)
            batch = ChunkBatch(attempt=attempt, chunks=chunks, verdict=verdict, waited_ms=waited_ms)
            topic.publish(batch.model_dump(mode="json"))  # plain JSON, whatever converter the reader has

        async with stream:
            yield publish_both
