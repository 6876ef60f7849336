"""The thorough look at a request that goes on while the provider answers. Nothing is let out before its verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from activities.inspection import STOPPING, Inspected, Inspector
from customhouse.contracts.chat import ChatRequest
from customhouse.contracts.errors import ErrorRecord
from customhouse.contracts.governance import Direction, Verdict
from customhouse.contracts.invocation import Decision
from customhouse.governance import verdict as verdicts
from customhouse.governance.passages import request_passages

T = TypeVar("T")


class TurnedBack(Exception):
    """The request is blocked after all."""


class Gate:
    """Open from the start where the decision puts no check alongside the call."""

    def __init__(self, inspector: Inspector, decision: Decision, request: ChatRequest) -> None:
        """`request`: as it came. What was redacted for the provider is part of what is looked at."""
        self._inspector = inspector
        self._decision = decision
        self._request = request
        self._look: asyncio.Task[Inspected] | None = None
        self.seen = Inspected()
        """What the look came to; empty until then."""
        self.verdict = Verdict.ALLOW
        """On the request, by this look alone."""

    async def around(self, conversation: Callable[[], Awaitable[T]]) -> T:
        """Holds the conversation while the look goes on. Raises TurnedBack, having ended the conversation, as soon as
        the request is found to be blocked.
        """
        if not self._decision.alongside:
            return await conversation()
        self._look = asyncio.create_task(self._looked())
        talking = asyncio.ensure_future(conversation())
        try:
            await asyncio.wait({self._look, talking}, return_when=asyncio.FIRST_COMPLETED)
            if not talking.done():
                await self.passed()
            return await talking
        finally:
            unfinished = {task for task in (self._look, talking) if not task.done()}
            for task in unfinished:
                task.cancel()
            if unfinished:
                await asyncio.wait(unfinished)

    async def passed(self) -> None:
        """Waits for the verdict. Raises TurnedBack where the request is blocked."""
        if self._look is None:
            return
        await asyncio.shield(self._look)
        if self.verdict in STOPPING:
            raise TurnedBack

    def refusal(self) -> ErrorRecord:
        """Why the request was turned back."""
        findings, policy = self.seen.findings, self._inspector.policy
        if self.verdict is Verdict.REVIEW:
            return verdicts.unreviewed(findings, policy).to_record()
        return verdicts.blocked(findings, policy, Direction.INPUT).to_record()

    async def _looked(self) -> Inspected:
        decision = self._decision
        # Texts without number were refused by `clear`, so there is no limit to run into here.
        seen = await self._inspector.alongside(decision.alongside, request_passages(self._request), decision.context)
        self.verdict = verdicts.decide(seen.findings, self._inspector.policy, Direction.INPUT)
        if self.verdict is Verdict.REDACT:  # the provider has the text already
            self.verdict = Verdict.BLOCK
        self.seen = seen
        return seen
