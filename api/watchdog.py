"""Looks after answers whose notification never comes: another process recorded them, or their workflow was ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import psycopg
from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.live import Live, LiveInvocation
from customhouse.contracts.errors import CustomhouseError, InvocationFailed
from customhouse.contracts.timing import ANSWER_POLL, WORKFLOW_CHECK
from customhouse.storage.invocations import Invocations
from customhouse.storage.ledger import Ledger

log = logging.getLogger(__name__)

_POLLS_A_CHECK = max(1, round(WORKFLOW_CHECK / ANSWER_POLL))


class Watchdog:
    """Polls on behalf of a waiting request. Costs a timer for calls that answer before its first look."""

    def __init__(self, temporal: Client, live: Live, ledger: Ledger, invocations: Invocations) -> None:
        self._temporal = temporal
        self._live = live
        self._ledger = ledger
        self._invocations = invocations

    @contextmanager
    def over(self, live: LiveInvocation, organization_id: UUID, workflow_id: str) -> Iterator[None]:
        task: asyncio.Task[None] | None = None

        def begin() -> None:
            nonlocal task
            task = asyncio.create_task(self._watch(live, organization_id, workflow_id))

        timer = asyncio.get_running_loop().call_later(ANSWER_POLL.total_seconds(), begin)
        try:
            yield
        finally:
            timer.cancel()
            if task is not None:
                task.cancel()

    async def look(self, organization_id: UUID, invocation_id: UUID) -> bool:
        """Deliver the recorded result to the watchers here, if there is one."""
        result = await self._invocations.result(organization_id, invocation_id)
        if result is None:
            return False
        self._live.finish(result)
        return True

    async def _watch(self, live: LiveInvocation, organization_id: UUID, workflow_id: str) -> None:
        polls = 0
        while live.result is None:
            polls += 1
            try:
                if await self.look(organization_id, live.invocation_id):
                    return
                if polls % _POLLS_A_CHECK == 0 and await self._has_ended(workflow_id):
                    await self.close(organization_id, live.invocation_id)
            except (CustomhouseError, SQLAlchemyError, psycopg.Error, RPCError) as error:
                log.warning("cannot look after a waiting invocation yet", extra={"error": str(error)})
            await asyncio.sleep(ANSWER_POLL.total_seconds())

    async def _has_ended(self, workflow_id: str) -> bool:
        try:
            description = await self._temporal.get_workflow_handle(workflow_id).describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return True
            raise
        return description.status is not WorkflowExecutionStatus.RUNNING

    async def close(self, organization_id: UUID, invocation_id: UUID) -> None:
        """The workflow is gone and has recorded nothing: somebody terminated it. Its row must say so."""
        error = InvocationFailed(
            "The invocation's workflow was ended from outside before it could record an answer. Send the request again "
            "with a new Idempotency-Key."
        )
        result = await self._ledger.abandon(organization_id, invocation_id, error.to_record())
        if result is not None:
            self._live.finish(result)
