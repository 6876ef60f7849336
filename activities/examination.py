"""What is known of a request before it is decided on: its texts checked, its prompt compared, its caller's record.

It may be begun before the workflow's first step asks for it: while the start of the workflow is on its way to Temporal
and back, this process has nothing else to do for the call.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from cachetools import TTLCache

from activities.admittance import Admittance
from activities.inspection import MAX_INLINE_CHARS, Inspected, Inspector
from activities.similarity import ReadPrompt, SimilarityResult, SimilarityStep
from customhouse.contracts.chat import ChatRequest
from customhouse.contracts.errors import ErrorRecord, PayloadTooLarge
from customhouse.contracts.governance import Direction, Finding, InspectionContext, StepTiming, Verdict
from customhouse.contracts.invocation import Caller, InvocationInput
from customhouse.governance.checks.base import Passage
from customhouse.governance.checks.suite import failure
from customhouse.governance.passages import request_passages, request_texts
from customhouse.governance.similarity.judging import CHECK as SIMILARITY
from customhouse.governance.similarity.judging import is_abuse
from customhouse.storage.similarity_rows import SimilarityRow

log = logging.getLogger(__name__)

_CHARS_PER_TEXT = 20
"""What a text costs besides its characters, in characters of prose."""

_MOST_BEGUN = 2_000
_BEGUN_S = 60.0
"""Those begun here whose workflow went to another worker are forgotten after this."""


@dataclass(slots=True)
class Examined:
    """What is known of one request."""

    is_short: bool
    """Whether to work on it may be done where the event loop runs."""
    inspected: Inspected = field(default_factory=Inspected)
    context: InspectionContext = field(default_factory=InspectionContext)
    similar: SimilarityResult | None = None
    error: ErrorRecord | None = None
    """Why it was not examined."""

    @property
    def probability(self) -> float | None:
        """Of abuse, by the quick look; None where no text was judged."""
        figures = [step.attributes.get("probability") for step in self.inspected.steps]
        return next((float(figure) for figure in figures if figure is not None), None)


class Examiner:
    """Built once a process; used on one event loop."""

    def __init__(self, inspector: Inspector, admittance: Admittance, similarity: SimilarityStep | None) -> None:
        """`similarity` None: switched off."""
        self.inspector = inspector
        self._admittance = admittance
        self._similarity = similarity
        self._aside: set[asyncio.Task[None]] = set()
        self._begun: TTLCache[UUID, asyncio.Task[Examined]] = TTLCache(_MOST_BEGUN, _BEGUN_S)

    def begin(self, invocation: InvocationInput) -> None:
        """Start on a request whose workflow this process is about to be given."""
        if invocation.request is not None:
            work = self._examine(invocation, invocation.request)
            self._begun[invocation.invocation_id] = asyncio.create_task(work, name="examine")

    async def examine(self, invocation: InvocationInput, request: ChatRequest) -> Examined:
        """What was begun for this invocation, or the same done now."""
        begun = self._begun.pop(invocation.invocation_id, None)
        return await (begun or self._examine(invocation, request))

    def condemn(self, invocation: InvocationInput, request: ChatRequest, findings: Sequence[Finding]) -> None:
        """A request that had been let through was blocked after all, by a check alongside the call. Takes no time.

        Only what was found to be abuse is held against its copies and its sender: a check that was late is not.
        """
        if self._is_abuse(findings):
            task = asyncio.create_task(self._condemn(invocation, request), name="condemn")
            self._aside.add(task)
            task.add_done_callback(self._aside.discard)

    async def _condemn(self, invocation: InvocationInput, request: ChatRequest) -> None:
        caller, digest = invocation.caller, None
        try:
            if self._similarity is not None:
                read = await self._similarity.read(invocation.invocation_id, caller, request)
                similar = await self._similarity.look(caller, read)
                digest = similar.prompt_hash
                await self._similarity.condemn(caller, similar)
        except Exception:
            # Its copies will have to be judged anew; the refusal has gone out already.
            log.exception("a blocked prompt was not remembered")
        self._admittance.note(caller, Verdict.BLOCK, None, digest)

    def row(self, examined: Examined, *, blocked: bool) -> SimilarityRow | None:
        """For the log of similarity, beside the decision."""
        if examined.similar is None:
            return None
        return examined.similar.row(blocked=blocked, is_abuse=self._is_abuse(examined.inspected.findings))

    def remember(self, caller: Caller, examined: Examined, *, blocked: bool) -> None:
        """Once the decision stands: later prompts are compared with this one, and its caller is known by it."""
        was_abuse = self._is_abuse(examined.inspected.findings)
        digest = None
        if self._similarity is not None and examined.similar is not None:
            self._similarity.remember(caller, examined.similar, blocked=blocked, is_abuse=was_abuse)
            digest = examined.similar.prompt_hash
        verdict = Verdict.BLOCK if was_abuse else Verdict.ALLOW
        self._admittance.note(caller, verdict, examined.probability, digest)

    async def _examine(self, invocation: InvocationInput, request: ChatRequest) -> Examined:
        # What came by reference is long in any case.
        passages = _short(request) if invocation.request_ref is None else None
        examined = Examined(is_short=passages is not None)
        try:
            passages = await asyncio.to_thread(request_passages, request) if passages is None else passages
        except PayloadTooLarge as error:
            examined.error = error.to_record()
            return examined
        read, failed = await self._read(invocation, request, passages)
        # It waits for Postgres while the checks compute.
        comparing = None
        if read is not None:
            comparing = asyncio.create_task(self._compare(invocation.caller, read), name="compare")
        examined.context = InspectionContext(
            known_abuse=None if read is None else read.known_abuse,
            behaviour=min(1.0, max(0.0, self._admittance.score(invocation.caller))),
        )
        try:
            examined.inspected = await self.inspector.request(passages, examined.context, is_short=examined.is_short)
            examined.inspected.findings += failed
            if comparing is not None:
                examined.similar, step, found = await comparing
                examined.inspected.findings += found
                examined.inspected.steps.append(step)
        finally:
            if comparing is not None:
                comparing.cancel()
        return examined

    async def _read(
        self, invocation: InvocationInput, request: ChatRequest, passages: Sequence[Passage]
    ) -> tuple[ReadPrompt | None, list[Finding]]:
        """The prompt as a vector, or the finding that there is none; neither for one that is refused for its length."""
        chars = sum(len(passage.text) for passage in passages)
        if self._similarity is None or chars > self.inspector.policy.limits.max_prompt_chars:
            return None, []
        try:
            return await self._similarity.read(invocation.invocation_id, invocation.caller, request), []
        except Exception as error:
            log.exception("a prompt could not be compared")
            return None, [failure(SIMILARITY, Direction.INPUT, error)]

    async def _compare(
        self, caller: Caller, read: ReadPrompt
    ) -> tuple[SimilarityResult | None, StepTiming, list[Finding]]:
        """What it is near to. Never raises: what a failure means is policy."""
        assert self._similarity is not None  # noqa: S101 - else nothing was read
        started_at, clock = time.time(), time.perf_counter()
        similar: SimilarityResult | None = None
        attributes: dict[str, str | float] = {"looked": "nowhere"}
        try:
            similar = await self._similarity.look(caller, read)
            found = list(similar.findings)
            attributes = {"looked": similar.looked.value}
            if similar.nearest is not None:
                attributes["score"] = round(similar.nearest.score, 4)
        except Exception as error:
            log.exception("a prompt could not be compared")
            found = [failure(SIMILARITY, Direction.INPUT, error)]
        duration_ms = (time.perf_counter() - clock) * 1000
        attributes["findings"] = len(found)
        timing = StepTiming(
            name="check.similarity", started_at=started_at, duration_ms=duration_ms, attributes=attributes
        )
        return similar, timing, found

    def _is_abuse(self, findings: Sequence[Finding]) -> bool:
        return is_abuse(findings, self.inspector.policy)


def _short(request: ChatRequest) -> list[Passage] | None:
    """The request's texts; None where to inspect them would hold up the event loop."""
    found: list[Passage] = []
    left = MAX_INLINE_CHARS
    for passage in request_texts(request):
        left -= len(passage.text) + _CHARS_PER_TEXT
        if left < 0:
            return None
        found.append(passage)
    return found
