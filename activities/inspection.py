"""Runs the checks of a side together, each under its deadline, and says what they found and what it took."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from activities.check_threads import CheckThreads
from customhouse.contracts.governance import Direction, Finding, InspectionContext, StepTiming, Verdict
from customhouse.governance.checks.base import Cost, Glance, Passage, TieredCheck
from customhouse.governance.checks.suite import AnyCheck, CheckSuite, failure, is_tiered, run
from customhouse.governance.policy import Policy, When
from customhouse.governance.validators import GuardrailsSettings
from customhouse.governance.verdict import decide

log = logging.getLogger(__name__)

STOPPING = frozenset({Verdict.REVIEW, Verdict.BLOCK})
"""Nothing goes on with such a verdict."""

MAX_INLINE_CHARS = 8_192
"""Characters that are inspected right where the event loop runs. The way to a thread and back takes 0.1 ms, as long as
16,000 characters of prose; but where each of them is made to cost, as near-numbers of telephones, these take 75 ms."""

_NO_CONTEXT = InspectionContext()


@dataclass(slots=True)
class Inspected:
    """What checks came to."""

    findings: list[Finding] = field(default_factory=list)
    steps: list[StepTiming] = field(default_factory=list)
    alongside: list[str] = field(default_factory=list)
    """Tiered checks that are not sure, and whose thorough look policy puts alongside the provider's call."""
    doubtful: Sequence[Passage] = ()
    """Of one tiered check: what it is not sure of."""

    def add(self, other: Inspected) -> None:
        self.findings += other.findings
        self.steps += other.steps
        self.alongside += other.alongside


@dataclass(frozen=True, slots=True)
class Inspector:
    """The checks of a process, under its policy."""

    suite: CheckSuite
    policy: Policy
    threads: CheckThreads
    rules: GuardrailsSettings | None = None
    """Of GuardrailsAI's validators, where some are in force."""

    async def request(self, passages: Sequence[Passage], context: InspectionContext, *, is_short: bool) -> Inspected:
        """All checks of a request. `is_short`: light checks may run right here, where the event loop does.

        Stops at a check of the whole (the length) that forbids the call: the others would read for nothing.
        """
        seen = Inspected()
        here: list[AnyCheck] = []
        apart: list[AnyCheck] = []
        for check in self.suite.checks(Direction.INPUT):
            if hasattr(check, "inspect_all"):
                seen.add(_look(check, passages, Direction.INPUT, context))
            elif is_short and check.cost is Cost.LIGHT and not is_tiered(check):
                here.append(check)
            else:
                apart.append(check)
        if decide(seen.findings, self.policy, Direction.INPUT) in STOPPING:
            return seen
        waiting = [asyncio.create_task(self._apart(check, passages, context, is_short=is_short)) for check in apart]
        if waiting:
            await asyncio.sleep(0)  # lets them start their threads, which go on while the others look here
        for check in here:
            seen.add(_look(check, passages, Direction.INPUT, context))
        for task in waiting:
            seen.add(await task)
        return seen

    async def alongside(
        self, names: Sequence[str], passages: Sequence[Passage], context: InspectionContext
    ) -> Inspected:
        """The thorough look of the named tiered checks."""
        tiered = [each for each in self.suite.checks(Direction.INPUT) if each.name in names and is_tiered(each)]
        seen = Inspected()
        for look in await asyncio.gather(*(self._study(check, passages, context) for check in tiered)):
            seen.add(look)
        # Whoever decided has a check that is not in force here: unlooked-at is a failure, too.
        missing = set(names) - {check.name for check in tiered}
        seen.findings += [failure(name, Direction.INPUT, LookupError("not in force")) for name in sorted(missing)]
        return seen

    async def answer(self, passages: Sequence[Passage]) -> Inspected:
        """The heavy checks of a whole answer. The light ones look while it comes (`StreamGovernor`)."""
        seen = Inspected()
        heavy = self.suite.heavy(Direction.OUTPUT)
        for look in await asyncio.gather(*(self._threaded(check, passages, Direction.OUTPUT) for check in heavy)):
            seen.add(look)
        return seen

    async def _apart(
        self, check: AnyCheck, passages: Sequence[Passage], context: InspectionContext, *, is_short: bool
    ) -> Inspected:
        """A check of a request that is heavy, or tiered, or has much to read."""
        if is_short and check.cost is Cost.LIGHT:
            looked = _look(check, passages, Direction.INPUT, context)
        else:
            looked = await self._threaded(check, passages, Direction.INPUT, context)
        if looked.doubtful and is_tiered(check):
            if self.policy.rule(check.name).when is When.ALONGSIDE:
                looked.alongside.append(check.name)
            else:
                looked.add(await self._study(check, looked.doubtful, context))
        return looked

    async def _threaded(
        self,
        check: AnyCheck,
        passages: Sequence[Passage],
        side: Direction,
        context: InspectionContext = _NO_CONTEXT,
    ) -> Inspected:
        return await self._in_thread(check, side, lambda: _look(check, passages, side, context))

    async def _study(self, check: TieredCheck, passages: Sequence[Passage], context: InspectionContext) -> Inspected:
        """Looks at what the quick look leaves open, which where this process has not taken it is not known yet."""

        def study() -> Inspected:
            step = _Step(f"check.{check.name}.thorough", Direction.INPUT)
            return step.of(check.study(check.glance(passages, context).doubtful, context))

        return await self._in_thread(check, Direction.INPUT, study)

    async def _in_thread(self, check: AnyCheck, side: Direction, look: Callable[[], Inspected]) -> Inspected:
        """Never raises: a check that fails or is late is a finding, and what it means is policy."""
        step = _Step(f"check.{check.name}", side)
        deadline_s = self.policy.rule(check.name).deadline_ms / 1000
        try:
            return await self.threads.run(check.name, look, deadline_s)
        except Exception as error:  # noqa: BLE001 - a company's own check may raise anything
            return step.of(Glance([failure(check.name, side, error)]))


class _Step:
    """Times one look."""

    def __init__(self, name: str, side: Direction) -> None:
        self._name = name
        self._side = side
        self._started_at, self._clock = time.time(), time.perf_counter()

    def of(self, glance: Glance) -> Inspected:
        timing = StepTiming(
            name=self._name,
            started_at=self._started_at,
            duration_ms=(time.perf_counter() - self._clock) * 1000,
            attributes={"direction": self._side.value, "findings": len(glance.findings), **glance.attributes},
        )
        for finding in glance.findings:
            if finding.is_failure:
                log.warning("a check did not look", extra={"check": finding.check, "kind": finding.kind})
        return Inspected(list(glance.findings), [timing], doubtful=glance.doubtful)


def _look(
    check: AnyCheck, passages: Sequence[Passage], side: Direction, context: InspectionContext = _NO_CONTEXT
) -> Inspected:
    step = _Step(f"check.{check.name}", side)
    return step.of(run(check, passages, side, context))
