"""Who is let in, asked by `clear` for calls that passed no door of ours, and what became of them."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from cachetools import TTLCache

from activities.behaviour import BehaviourBook
from activities.block_book import BlockBook
from activities.limiter import Limiter
from customhouse.contracts.governance import Verdict
from customhouse.contracts.invocation import Caller, InvocationInput, InvocationResult

_MOST_KNOWN = 10_000
_KNOWN_S = 600.0


class Admittance:
    """Blocks, limits and behaviour as one part: what `clear` asks, and what it and the recorder tell."""

    def __init__(self, blocks: BlockBook, limiter: Limiter, behaviour: BehaviourBook) -> None:
        self._blocks = blocks
        self._limiter = limiter
        self._behaviour = behaviour
        self._admitted: TTLCache[UUID, bool] = TTLCache(_MOST_KNOWN, _KNOWN_S)

    async def admit(self, invocation: InvocationInput, tokens: int | Callable[[], int]) -> None:
        """Raises Blocked or RateLimited. The API's doors have asked already for what bears their `origin`.

        `tokens`: as for `Limiter.admit`. A step that is repeated in the same process counts once.
        """
        if invocation.origin is not None or invocation.invocation_id in self._admitted:
            return
        self._blocks.check_caller(invocation.caller)
        admission = await self._limiter.admit(invocation.caller, tokens)
        self._limiter.hold(invocation.invocation_id, admission)
        self._admitted[invocation.invocation_id] = True

    async def settle(self, result: InvocationResult) -> None:
        """Once the call's end is recorded; costs nothing for calls that were not counted here."""
        await self._limiter.settle_held(result.invocation_id, result.usage, result.usd_cost)

    def score(self, caller: Caller) -> float:
        """How suspicious the caller's last calls were, 0 to 1: for the checks that weigh it."""
        return self._behaviour.score(caller)

    def note(self, caller: Caller, verdict: Verdict, probability: float | None, digest: str | None = None) -> None:
        """What the checks for abuse made of a prompt; see `BehaviourBook.note`."""
        self._behaviour.note(caller, None, verdict, probability, digest)
