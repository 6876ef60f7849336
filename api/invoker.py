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
from temporalio.service import RPCError, RPCStatusCode

from activities.examination import Examiner
from activities.limiter import Admission
from activities.live import Live, LiveInvocation, follow
from api.refusals import refused_start
from api.relay import Relay
from api.settling import Settling
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
    admission: Admission | None = None
    """What its rate limits counted, to be corrected at its end."""


@dataclass(frozen=True, slots=True)
class Running:
    """An invocation under way, or ended before under the same key."""

    organization_id: UUID
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
        """The result alone: whatever becomes of the chunks, and of the attempts that they came from."""
        while self.live.result is None:
            await self.live.changed.wait()
        return self.live.result


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
        settling: Settling,
        has_worker: bool,
        examiner: Examiner | None,
        relayed_models: frozenset[str],
    ) -> None:
        """`examiner`: of this process's worker; None where it has none. `relayed_models`: those whose provider calls
        may be made in another process, though this one has a worker.
        """
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
        self._settling = settling
        self._has_worker = has_worker
        self._examiner = examiner
        self._relayed_models = relayed_models
        self._relay = Relay(temporal)
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
        invocation = self._input(ask)
        workflow = workflow_id(ask.caller.organization_id, invocation.idempotency_key)
        replayed = False
        if ask.idempotency_key is not None:
            try:
                accepted = await self._ledger.accept(invocation, workflow)
            except BaseException:
                self._settling.release(ask.admission)
                raise
            if accepted.fingerprint != invocation.fingerprint:
                self._settling.release(ask.admission)
                raise IdempotencyMismatch(
                    f"Idempotency-Key {ask.idempotency_key!r} was used before with another body. "
                    "Send the first body again to get its answer, or use a new key for a new request.",
                    param="Idempotency-Key",
                )
            replayed = not accepted.is_new
            invocation = invocation.model_copy(update={"invocation_id": accepted.invocation_id})
            if replayed or accepted.status.is_final:
                self._settling.release(ask.admission)
            if accepted.status.is_final:
                live = LiveInvocation(accepted.invocation_id)
                live.result = await self._invocations.result(ask.caller.organization_id, accepted.invocation_id)
                yield Running(
                    ask.caller.organization_id,
                    accepted.invocation_id,
                    workflow,
                    replayed=True,
                    start_ms=0.0,
                    live=live,
                )
                return
        with ExitStack() as stack, self._live.watching(invocation.invocation_id) as live:
            started = time.perf_counter()
            root = self._telemetry.start_invocation_span(
                f"invocation {invocation.model}", invocation.invocation_id, traceparent=traceparent
            )
            stack.callback(root.end)
            with self._telemetry.current(root, end=False):
                try:
                    await self._start(invocation, ask.size_bytes)
                except BaseException:
                    if not replayed:  # else it has been released already
                        self._settling.release(ask.admission)
                    raise
            if not replayed:
                self._settling.follow(ask.admission, invocation.invocation_id, ask.deadline_s)
            start_ms = (time.perf_counter() - started) * 1000
            if invocation.stream_through_workflow:
                self._relay.begin(live, workflow)
            with self._watchdog.over(live, ask.caller.organization_id, workflow):
                yield Running(ask.caller.organization_id, invocation.invocation_id, workflow, replayed, start_ms, live)

    @asynccontextmanager
    async def attach(self, organization_id: UUID, invocation_id: UUID) -> AsyncIterator[Running]:
        """Follow an invocation that was started before. Raises NotFound."""
        with self._live.watching(invocation_id) as live:
            record = await self._invocations.get(organization_id, invocation_id)
            if record is None:
                raise NotFound(f"There is no invocation {invocation_id} in your organization.", param="invocation_id")
            if record.status.is_final:
                await self._watchdog.look(organization_id, invocation_id)
            elif self._is_relayed(record.model, stream=record.stream):
                self._relay.begin(live, record.workflow_id)
            with self._watchdog.over(live, organization_id, record.workflow_id):
                yield Running(
                    organization_id, invocation_id, record.workflow_id, replayed=True, start_ms=0.0, live=live
                )

    async def cancel(self, organization_id: UUID, invocation_id: UUID, request: CancelRequest) -> None:
        """Cancel the provider call, wherever it is made. Raises NotFound, or Conflict where it has ended already."""
        record = await self._invocations.get(organization_id, invocation_id)
        if record is None:
            raise NotFound(f"There is no invocation {invocation_id} in your organization.", param="invocation_id")
        if record.status.is_final:
            raise Conflict(f"Invocation {invocation_id} has ended already, as {record.status}; nothing was changed.")
        if self._live.cancel(invocation_id, request):
            return
        await self._cancel_elsewhere(organization_id, invocation_id, record.workflow_id, request)

    async def _cancel_elsewhere(
        self, organization_id: UUID, invocation_id: UUID, workflow: str, request: CancelRequest
    ) -> None:
        """In another process, or before the call has begun."""
        message = orjson.dumps({"invocation_id": str(invocation_id), **request.model_dump()}).decode()
        await self._bus.publish(CANCEL_CHANNEL, message)
        try:
            await self._temporal.get_workflow_handle(workflow).cancel()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:  # it has ended, or Temporal has forgotten it
                await self._watchdog.close(organization_id, invocation_id)
                return
            raise NotReady(
                f"Temporal did not take the cancel of {invocation_id} ({error.status.name}); send it again."
            ) from error

    def hang_up(self, running: Running) -> None:
        """The caller of a call that is to end with its connection has gone."""
        request = CancelRequest(reason="the caller hung up, and had asked for that to cancel", by="disconnect")
        if not self._live.cancel(running.invocation_id, request):
            self._keep(
                self._cancel_elsewhere(running.organization_id, running.invocation_id, running.workflow_id, request)
            )

    def _keep(self, work: Coroutine[Any, Any, object]) -> None:
        """Run it aside. Nobody is left to tell, so a failure goes to the log."""

        def ended(task: asyncio.Task[object]) -> None:
            self._aside.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                log.warning("work aside has failed", extra={"error": str(error)})

        task = asyncio.create_task(work)
        self._aside.add(task)
        task.add_done_callback(ended)

    def _is_relayed(self, model: str, *, stream: bool) -> bool:
        """Whether a stream's chunks come through the workflow, since its call may be made in another process."""
        return stream and (not self._has_worker or model in self._relayed_models)

    def _input(self, ask: Ask) -> InvocationInput:
        caller = ask.caller
        identity = new_id()
        return InvocationInput(
            invocation_id=identity,
            caller=caller,
            idempotency_key=ask.idempotency_key or str(identity),
            fingerprint=fingerprint(ask.request, caller),
            request=ask.request,
            model=ask.request.model,
            stream=bool(ask.request.stream),
            stream_through_workflow=self._is_relayed(ask.request.model, stream=bool(ask.request.stream)),
            origin=self._process_id,
            deadline_s=ask.deadline_s,
            accepted_at=ask.received_at,
            metadata=ask.labels,
        )

    async def _start(self, invocation: InvocationInput, size_bytes: int) -> None:
        if size_bytes > CLAIM_CHECK_BYTES:
            invocation = await self._put_away(invocation)
        starting = asyncio.ensure_future(
            start_workflow(
                self._temporal, invocation, task_queue=self._task_queue, attach=False, eager=self._has_worker
            )
        )
        if self._examiner is not None:
            await asyncio.sleep(0)  # lets the request to Temporal out; until its answer is here, nothing else is to do
            self._examiner.begin(invocation)
        try:
            await starting
        except WorkflowAlreadyStartedError:
            # The same key through two doors at once, or an earlier start whose answer was lost: follow it. It has a
            # body of its own.
            if invocation.request_ref is not None:
                await self._contents.delete(invocation.caller.organization_id, invocation.request_ref)
        except RPCError as error:
            raise refused_start(error) from error

    async def _put_away(self, invocation: InvocationInput) -> InvocationInput:
        """The same with its request by reference."""
        if invocation.request is None:
            return invocation
        body = self._sealer.seal(orjson.dumps(invocation.request.wire()))
        reference = await self._contents.put(invocation.caller.organization_id, body, encrypted=self._sealer.encrypts)
        return invocation.model_copy(update={"request": None, "request_ref": reference})
