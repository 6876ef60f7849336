"""What happens to invocations in this process right now: streams to follow, answers to wait for, calls to cancel.

Nothing here is a record. A process that dies loses it all, and everything can be had again from Postgres and Temporal.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from customhouse.contracts.chat import Json
from customhouse.contracts.governance import Verdict
from customhouse.contracts.invocation import CancelRequest, InvocationResult


@dataclass(slots=True)
class LiveInvocation:
    """One invocation that someone in this process follows."""

    invocation_id: UUID
    watchers: int = 0
    attempt: int = 0
    """The attempt whose chunks are in `chunks`."""
    chunks: list[Json] = field(default_factory=list)
    """Released chunks, kept to the end so that a second watcher sees the stream from its start."""
    verdict: Verdict = Verdict.ALLOW
    """On the request: known before the first chunk."""
    waited_ms: float = 0.0
    """What the provider took to its first token."""
    result: InvocationResult | None = None
    is_relayed: bool = False
    """While chunks still come through the workflow: the result waits for them."""
    was_relayed: bool = False
    """Once they have come that way, none are taken directly: they would come twice, or from the middle on."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Replaced whenever something changes, so that any number of watchers can wait without missing a change."""

    def notify(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    def take(self, attempt: int, chunks: list[Json], *, verdict: Verdict, waited_ms: float) -> None:
        """The next chunks; those of another attempt begin the answer anew."""
        if self.attempt != attempt:
            self.attempt, self.chunks = attempt, []
        self.verdict, self.waited_ms = verdict, waited_ms
        self.chunks.extend(chunks)
        self.notify()

    def interrupt(self) -> None:
        """No more chunks will come: whoever has seen some has seen a part of an answer."""
        if self.chunks:
            self.attempt, self.chunks = self.attempt + 1, []


class StreamInterrupted(Exception):
    """Chunks of an attempt were already handed on when the attempt died: a stream cannot take them back."""


class Live:
    """The registry of `LiveInvocation`s. Used on one event loop only."""

    def __init__(self) -> None:
        self._invocations: dict[UUID, LiveInvocation] = {}
        self._cancels: dict[UUID, Callable[[CancelRequest], None]] = {}
        self._early_cancels: dict[UUID, CancelRequest] = {}

    @contextmanager
    def watching(self, invocation_id: UUID) -> Iterator[LiveInvocation]:
        """Follow an invocation. Enter before starting the workflow, so that nothing is missed.

        The call itself enters as well, so that its chunks are kept from the first on while nobody else listens.
        """
        live = self._invocations.setdefault(invocation_id, LiveInvocation(invocation_id))
        live.watchers += 1
        try:
            yield live
        finally:
            live.watchers -= 1
            if live.watchers == 0:
                self._invocations.pop(invocation_id, None)
                self._early_cancels.pop(invocation_id, None)

    def is_watched(self, invocation_id: UUID) -> bool:
        return invocation_id in self._invocations

    def publish(
        self, invocation_id: UUID, attempt: int, chunks: list[Json], *, verdict: Verdict, waited_ms: float
    ) -> None:
        """Hand released chunks to whoever follows in this process."""
        live = self._invocations.get(invocation_id)
        if live is not None and not live.was_relayed:
            live.take(attempt, chunks, verdict=verdict, waited_ms=waited_ms)

    def finish(self, result: InvocationResult) -> None:
        """Tell whoever follows in this process how it ended."""
        live = self._invocations.get(result.invocation_id)
        if live is not None and live.result is None:
            live.result = result
            live.notify()

    @contextmanager
    def cancellable(self, invocation_id: UUID, cancel: Callable[[CancelRequest], None]) -> Iterator[None]:
        """While a provider is being called: what a cancel of this invocation must do."""
        self._cancels[invocation_id] = cancel
        early = self._early_cancels.pop(invocation_id, None)
        if early is not None:
            cancel(early)
        try:
            yield
        finally:
            if self._cancels.get(invocation_id) is cancel:
                del self._cancels[invocation_id]

    def cancel(self, invocation_id: UUID, request: CancelRequest) -> bool:
        """Cancel the provider call; False where it is not being made in this process.

        A cancel that comes before the call begins is kept for as long as somebody here follows the invocation.
        """
        cancel = self._cancels.get(invocation_id)
        if cancel is not None:
            cancel(request)
            return True
        if invocation_id in self._invocations:
            self._early_cancels[invocation_id] = request
        return False


async def follow(live: LiveInvocation) -> AsyncIterator[list[Json] | InvocationResult]:
    """Yield the chunks from the start, as many at a time as there are, and the result last.

    Raises StreamInterrupted if another attempt takes over after chunks of the first were yielded.
    """
    attempt, sent = 0, 0
    while True:
        changed = live.changed
        if live.attempt != attempt:
            if sent:
                raise StreamInterrupted
            attempt = live.attempt
        if sent < len(live.chunks):
            batch = live.chunks[sent:]
            sent += len(batch)
            yield batch
        elif live.result is not None and not live.is_relayed:
            yield live.result
            return
        else:
            await changed.wait()
