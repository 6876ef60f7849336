"""What has to be done now and then: next months' partitions, and invocations that nobody works on any more."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

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

_PAGE = 500
"""Invocations read at once."""

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
        looked_at = closed = 0
        after: UUID | None = None
        while True:
            with database_step():
                page = await self.invocations.unfinished(ABANDONED_AFTER, after=after, limit=_PAGE)
            for row in page:
                activity.heartbeat()
                if not await self._is_running(row.workflow_id):
                    with database_step():
                        await self.ledger.abandon(row.organization_id, row.id, _ABANDONED.to_record())
                    closed += 1
            looked_at += len(page)
            if len(page) < _PAGE:
                await self._close_left_open()
                return Housekept(looked_at=looked_at, closed=closed)
            after = page[-1].id

    async def _close_left_open(self) -> None:
        left = True
        while left:
            activity.heartbeat()
            with database_step():
                left = await self.ledger.close_left_open(ABANDONED_AFTER)

    async def _is_running(self, workflow_id: str) -> bool:
        try:
            description = await self.temporal.get_workflow_handle(workflow_id).describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise
        return description.status is WorkflowExecutionStatus.RUNNING
