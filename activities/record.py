"""`record`: every ending that `call` does not record by itself: refusals, failures, the regular lane, an outage."""

from __future__ import annotations

from dataclasses import dataclass

from temporalio import activity

from activities.recorder import Recorder
from customhouse.contracts.invocation import CloseInput, InvocationResult, RecordInput
from customhouse.integrations.logs import log_context


@dataclass(frozen=True, slots=True)
class RecordActivity:
    """Records an invocation's end."""

    recorder: Recorder

    @activity.defn(name="record")
    async def record(self, record: RecordInput) -> InvocationResult:
        """Idempotent: a result that already stands is returned as it is."""
        invocation = record.invocation
        with log_context(invocation_id=invocation.invocation_id, organization_id=invocation.caller.organization_id):
            return await self.recorder.record(record)

    @activity.defn(name="close")
    async def close(self, close: CloseInput) -> None:
        """For an invocation that ended before anything was decided. Where it has no row, or an end, nothing happens."""
        await self.recorder.close(close)
