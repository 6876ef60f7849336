"""What has to be done now and then: next months' partitions, and invocations that nobody works on any more."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.failures import database_step
from customhouse.contracts.errors import InvocationFailed
from customhouse.contracts.housekeeping import Housekept
from customhouse.contracts.timing import ABANDONED_AFTER
from customhouse.storage.invocations import Invocations
from customhouse.storage.ledger import Ledger
from customhouse.storage.partitions import ensure_partitions

_AT_ONCE = 500
"""Invocations looked at in one run; the rest has its turn in the next."""

_ABANDONED = InvocationFailed(
    "The invocation's workflow ended, or was never started, without recording an answer. Send the request again with a "
    "new Idempotency-Key."
)


@dataclass(frozen=True, slots=True)
class HousekeepingActivity:
    """Idempotent throughout: what one run leaves undone, the next one does."""

    engine: AsyncEngine
    ledger: Ledger
    invocations: Invocations
    temporal: Client

    @activity.defn(name="make_partitions")
    async def make_partitions(self) -> list[str]:
        """Names of the partitions that were missing. Without them rows are safe, but in the slow DEFAULT partition."""
        with database_step():
            return await ensure_partitions(self.engine)

    @activity.defn(name="close_abandoned")
    async def close_abandoned(self) -> Housekept:
        """End the rows of invocations whose workflow is gone: terminated by hand, or never begun for a crash."""
        with database_step():
            unfinished = await self.invocations.unfinished(ABANDONED_AFTER, limit=_AT_ONCE)
            closed = 0
            for row in unfinished:
                activity.heartbeat()
                if await self._is_running(row.workflow_id):
                    continue
                await self.ledger.abandon(row.organization_id, row.id, _ABANDONED.to_record())
                closed += 1
        return Housekept(looked_at=len(unfinished), closed=closed)

    async def _is_running(self, workflow_id: str) -> bool:
        try:
            description = await self.temporal.get_workflow_handle(workflow_id).describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise
        return description.status is WorkflowExecutionStatus.RUNNING
