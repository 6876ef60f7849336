"""Starts invocations and brings their answers back: what the doors share."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
from temporalio.client import Client
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from activities.live import Live, LiveInvocation, follow
from api.relay import Relay
from api.watchdog import Watchdog
from customhouse.client import start_workflow
from customhouse.contracts.chat import ChatRequest, Json
from customhouse.contracts.errors import Conflict, IdempotencyMismatch, NotFound, NotReady
from customhouse.contracts.identity import fingerprint, workflow_id
from customhouse.contracts.invocation import Caller, CancelRequest, InvocationInput, InvocationResult
from customhouse.contracts.limits import CLAIM_CHECK_BYTES
from customhouse.integrations.sealing import Sealer
from customhouse.integrations.telemetry import Telemetry
from customhouse.storage.bus import Bus
from customhouse.storage.contents import Contents
from customhouse.storage.ids import new_id
from customhouse.storage.invocations import Invocations
from customhouse.storage.ledger import CANCEL_CHANNEL, RECORDED_CHANNEL, Ledger

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ask:
    """What a door hands over: the request, who asks, and how."""

    request: ChatRequest
    caller: Caller
    received_at: float
    """Seconds since the epoch."""
    size_bytes: int
    """Of the request's body: decides whether it goes into history or by claim check."""
    idempotency_key: str | None = None
    deadline_s: float = 600
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Running:
    """An invocation under way, or ended before under the same key."""

    invocation_id: UUID
    workflow_id: str
    replayed: bool
    """True where an earlier request with the same key made it."""
    start_ms: float
    """Milliseconds that Temporal took to start it."""
    live: LiveInvocation

    def events(self) -> AsyncIterator[list[Json] | InvocationResult]:
        """Governed chunks as they come (streamed invocations only), and the result last."""
        return follow(self.live)

    async def result(self) -> InvocationResult:
        async for event in follow(self.live):
            if isinstance(event, InvocationResult):
                return event
        raise AssertionError("follow ends with a result")


class Invoker:
    """Starts invocations on Temporal, eagerly on this process's own worker where there is one."""

    def __init__(
        self,
        *,
        temporal: Client,
        task_queue: str,
        process_id: str,
        live: Live,
        ledger: Ledger,
        invocations: Invocations,
        contents: Contents,
        bus: Bus,
        sealer: Sealer,
        telemetry: Telemetry,
        has_worker: bool,
    ) -> None:
        self._temporal = temporal
        self._task_queue = task_queue
        self._process_id = process_id
        self._live = live
        self._ledger = ledger
        self._invocations = invocations
        self._contents = contents
        self._bus = bus
        self._sealer = sealer
        self._telemetry = telemetry
        self._has_worker = has_worker
        self._relay = None if has_worker else Relay(temporal)
        self._watchdog = Watchdog(temporal, live, ledger, invocations)
        self._aside: set[asyncio.Task[object]] = set()

    async def listen(self) -> None:
        """Hear of answers that other processes record. Call once, before the first request."""

        def recorded(message: str) -> None:
            organization_id, invocation_id = (UUID(part) for part in message.split(":"))
            if self._live.is_watched(invocation_id):
                self._keep(self._watchdog.look(organization_id, invocation_id))

        # After a gap the watchdog's own polls find what was missed.
        await self._bus.subscribe(RECORDED_CHANNEL, recorded, on_gap=lambda: None)

    @asynccontextmanager
    async def run(self, ask: Ask, *, traceparent: str | None) -> AsyncIterator[Running]:
        """Start the invocation, or attach to the one that has this key; follow it inside the block."""
        invocation = await self._input(ask)
        workflow = workflow_id(ask.caller.organization_id, invocation.idempotency_key)
        replayed = False
        if ask.idempotency_key is not None:
            accepted = await self._ledger.accept(invocation, workflow)
            if accepted.fingerprint != invocation.fingerprint:
                raise IdempotencyMismatch(
                    f"Idempotency-Key {ask.idempotency_key!r} was used before with another body. "
                    "Send the first body again to get its answer, or use a new key for a new request.",
                    param="Idempotency-Key",
                )
            replayed = not accepted.is_new
            invocation = invocation.model_copy(update={"invocation_id": accepted.invocation_id})
            if accepted.status.is_final:
                live = LiveInvocation(accepted.invocation_id)
                live.result = await self._invocations.result(ask.caller.organization_id, accepted.invocation_id)
                yield Running(accepted.invocation_id, workflow, replayed=True, start_ms=0.0, live=live)
                return
        with ExitStack() as stack, self._live.watching(invocation.invocation_id) as live:
            started = time.perf_counter()
            root = self._telemetry.start_invocation_span(
                f"invocation {invocation.model}", invocation.invocation_id, traceparent=traceparent
            )
            stack.callback(root.end)
            with self._telemetry.current(root, end=False):
                await self._start(invocation)
            start_ms = (time.perf_counter() - started) * 1000
            if self._relay is not None and invocation.stream:
                self._relay.begin(live, workflow)
            with self._watchdog.over(live, ask.caller.organization_id, workflow):
                yield Running(invocation.invocation_id, workflow, replayed, start_ms, live)

    @asynccontextmanager
    async def attach(self, organization_id: UUID, invocation_id: UUID) -> AsyncIterator[Running]:
        """Follow an invocation that was started before. Raises NotFound."""
        with self._live.watching(invocation_id) as live:
            record = await self._invocations.get(organization_id, invocation_id)
            if record is None:
                raise NotFound(f"There is no invocation {invocation_id} in your organization.", param="invocation_id")
            if record.status.is_final:
                await self._watchdog.look(organization_id, invocation_id)
            elif self._relay is not None and record.stream:
                self._relay.begin(live, record.workflow_id)
            with self._watchdog.over(live, organization_id, record.workflow_id):
                yield Running(invocation_id, record.workflow_id, replayed=True, start_ms=0.0, live=live)

    async def cancel(self, organization_id: UUID, invocation_id: UUID, request: CancelRequest) -> None:
        """Cancel the provider call, wherever it is made. Raises NotFound, or Conflict where it has ended already."""
        record = await self._invocations.get(organization_id, invocation_id)
        if record is None:
            raise NotFound(f"There is no invocation {invocation_id} in your organization.", param="invocation_id")
        if record.status.is_final:
            raise Conflict(f"Invocation {invocation_id} has ended already, as {record.status}; nothing was changed.")
        if self._live.cancel(invocation_id, request):
            return
        await self._cancel_elsewhere(invocation_id, record.workflow_id, request)

    async def _cancel_elsewhere(self, invocation_id: UUID, workflow: str, request: CancelRequest) -> None:
        """In another process, or before the call has begun."""
        message = orjson.dumps({"invocation_id": str(invocation_id), **request.model_dump()}).decode()
        await self._bus.publish(CANCEL_CHANNEL, message)
        try:
            await self._temporal.get_workflow_handle(workflow).cancel()
        except RPCError as error:
            raise NotReady(
                f"Temporal did not take the cancel of {invocation_id} ({error.status.name}); send it again."
            ) from error

    def hang_up(self, running: Running) -> None:
        """The caller of a call that is to end with its connection has gone."""
        request = CancelRequest(reason="the caller hung up, and had asked for that to cancel", by="disconnect")
        if not self._live.cancel(running.invocation_id, request):
            self._keep(self._cancel_elsewhere(running.invocation_id, running.workflow_id, request))

    def _keep(self, work: Coroutine[Any, Any, object]) -> None:
        """Run it aside. Nobody is left to tell, so a failure goes to the log."""

        def ended(task: asyncio.Task[object]) -> None:
            self._aside.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                log.warning("work aside has failed", extra={"error": str(error)})

        task = asyncio.create_task(work)
        self._aside.add(task)
        task.add_done_callback(ended)

    async def _input(self, ask: Ask) -> InvocationInput:
        caller = ask.caller
        reference = None
        if ask.size_bytes > CLAIM_CHECK_BYTES:
            body = self._sealer.seal(orjson.dumps(ask.request.wire()))
            reference = await self._contents.put(caller.organization_id, body, encrypted=self._sealer.encrypts)
        identity = new_id()
        return InvocationInput(
            invocation_id=identity,
            caller=caller,
            idempotency_key=ask.idempotency_key or str(identity),
            fingerprint=fingerprint(ask.request, caller),
            request=None if reference else ask.request,
            request_ref=reference,
            model=ask.request.model,
            stream=bool(ask.request.stream),
            stream_through_workflow=bool(ask.request.stream) and not self._has_worker,
            origin=self._process_id,
            deadline_s=ask.deadline_s,
            accepted_at=ask.received_at,
            metadata=ask.labels,
        )

    async def _start(self, invocation: InvocationInput) -> None:
        try:
            await start_workflow(
                self._temporal, invocation, task_queue=self._task_queue, attach=False, eager=self._has_worker
            )
        except WorkflowAlreadyStartedError:
            return  # the same key through two doors at once, or an earlier start whose answer was lost: follow it
        except RPCError as error:
            raise NotReady(
                f"Temporal did not take the call ({error.status.name}). Try again; with an Idempotency-Key, nothing is "
                "done twice.",
                retry_after_s=1,
            ) from error
