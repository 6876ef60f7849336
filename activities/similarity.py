"""The step that compares a prompt with those before it, while the checks read it."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field, replace
from enum import StrEnum
from uuid import UUID

from psycopg import Error as PsycopgError
from psycopg_pool import PoolTimeout
from sqlalchemy.exc import DBAPIError

from activities.prompt_memory import Known, PromptMemory
from customhouse.contracts.alerts import Alert, AlertKind, AlertSink
from customhouse.contracts.chat import ChatRequest
from customhouse.contracts.errors import NotReady
from customhouse.contracts.governance import Finding, Severity
from customhouse.contracts.invocation import Caller
from customhouse.governance.similarity.campaign import Campaign, CampaignRule, campaign_of
from customhouse.governance.similarity.judging import Nearness, findings_of
from customhouse.governance.similarity.known_abuse import KnownAbuse
from customhouse.governance.similarity.packing import packed
from customhouse.governance.similarity.prompt_vector import PromptEmbedder, PromptVector
from customhouse.governance.similarity.prompts import prompt_hash, prompt_of
from customhouse.governance.similarity.recent import Match, SeenPrompt
from customhouse.governance.similarity.thresholds import Band, Thresholds
from customhouse.storage.prompt_vectors import PromptVectors
from customhouse.storage.similarity_rows import SimilarityRow

log = logging.getLogger(__name__)

MAX_INLINE_CHARS = 8_192
"""Longer prompts are embedded in a thread: up to 100 ms, where each character is made to cost."""

MOST_SEARCHES = 32
"""Searches under way: with more of them Postgres is behind, and a further one would be too late."""

_UNREADABLE = (DBAPIError, PsycopgError, PoolTimeout, NotReady, TimeoutError)


@dataclass(frozen=True, slots=True)
class ReadPrompt:
    """A request's prompt, as far as it can be told without asking Postgres."""

    prompt: PromptVector
    seen: SeenPrompt
    band: Band
    known_abuse: float
    """Cosine to the nearest known abuse; 0 for a prompt without text."""
    category: str
    """Of that abuse."""


class Looked(StrEnum):
    """Where earlier prompts were looked for."""

    NOWHERE = "nowhere"
    """The prompt has no text."""
    MEMORY = "memory"
    """Among the latest: those are all that there are, or the same prompt is among them, and nothing can be nearer."""
    INDEX = "index"
    """Among the latest, and in the index."""
    LATE = "late"
    """The index, or the organization's latest prompts, could not be read in time."""


@dataclass(frozen=True, slots=True)
class SimilarityResult:
    """What one prompt is near to."""

    read: ReadPrompt
    looked: Looked
    nearest: Match | None
    campaign: Campaign | None
    findings: list[Finding] = field(default_factory=list)

    @property
    def prompt_hash(self) -> str:
        return self.read.seen.prompt_hash

    def row(self, *, blocked: bool, is_abuse: bool) -> SimilarityRow:
        """For `Ledger.clear`, once it is decided. `is_abuse`: see `governance.similarity.judging.is_abuse`."""
        return SimilarityRow(
            prompt_hash=self.prompt_hash,
            vector=packed(self.read.prompt.vector) if self.read.prompt.tokens else None,
            threshold=self.read.band.near_copy,
            similarity_score=None if self.nearest is None else self.nearest.score,
            matched_prompt_hash=None if self.nearest is None else self.nearest.prompt_hash,
            matched_invocation_id=None if self.nearest is None else self.nearest.invocation_id,
            blocked=blocked,
            is_abuse=is_abuse,
        )


class SimilarityStep:
    """Built once a process."""

    def __init__(
        self,
        *,
        embedder: PromptEmbedder,
        thresholds: Thresholds,
        known_abuse: KnownAbuse,
        memory: PromptMemory,
        prompts: PromptVectors,
        alerts: AlertSink,
        campaigns: CampaignRule,
        deadline_s: float,
    ) -> None:
        """`deadline_s`: of a look into the index. What is late is left out."""
        self._embedder = embedder
        self._thresholds = thresholds
        self._known_abuse = known_abuse
        self._memory = memory
        self._prompts = prompts
        self._alerts = alerts
        self._campaigns = campaigns
        self._deadline_s = deadline_s
        self._raising: set[asyncio.Task[None]] = set()
        self._searching: set[asyncio.Task[tuple[Looked, Match | None, Known | None]]] = set()

    async def read(self, invocation_id: UUID, caller: Caller, request: ChatRequest) -> ReadPrompt:
        """The request's prompt as a vector, and how near it is to known abuse. Short ones without leaving the loop."""
        text = prompt_of(request)
        if len(text) <= MAX_INLINE_CHARS:
            hashed, prompt = self._read(caller, text)
        else:
            hashed, prompt = await asyncio.to_thread(self._read, caller, text)
        seen = SeenPrompt(invocation_id, hashed, time.time(), caller.user_id, caller.agent_id)
        near, category = self._known_abuse.nearest(prompt.vector) if prompt.tokens else (0.0, "")
        return ReadPrompt(prompt, seen, self._thresholds.band(prompt.tokens), near, category)

    async def look(self, caller: Caller, read: ReadPrompt) -> SimilarityResult:
        """Compare the prompt with earlier ones of the organization. Changes nothing.

        Best begun as a task before the checks, for it waits for Postgres while they compute. Where Postgres is late or
        away it goes on without, and a finding `similarity.check_timed_out` says so.
        """
        if not read.prompt.tokens:
            return SimilarityResult(read, Looked.NOWHERE, None, None)
        looked, nearest, blocked, let_through, campaign = await self._compare(caller.organization_id, read)
        found = findings_of(
            Nearness(
                prompt_hash=read.seen.prompt_hash,
                band=read.band,
                blocked=blocked,
                let_through=let_through,
                known_abuse=read.known_abuse,
                category=read.category,
                campaign=campaign,
                has_looked=looked is not Looked.LATE,
            )
        )
        return SimilarityResult(read, looked, nearest, campaign, found)

    def remember(self, caller: Caller, result: SimilarityResult, *, blocked: bool, is_abuse: bool) -> None:
        """Take in a prompt whose decision has been recorded. Costs no time; an alert is raised in the background."""
        prompt = result.read.prompt
        if not prompt.tokens:
            return
        seen = replace(result.read.seen, blocked=blocked)
        self._memory.add(caller.organization_id, seen, prompt.vector, is_abuse=is_abuse)
        if result.campaign is not None and (result.campaign.is_suspicious or blocked):
            task = asyncio.create_task(self._raise(_alert(caller, seen, result.campaign)), name="raise alert")
            self._raising.add(task)
            task.add_done_callback(self._raising.discard)

    async def condemn(self, caller: Caller, result: SimilarityResult) -> None:
        """A prompt that had been let through was blocked after all, by a check that ran alongside the call.

        Idempotent. Raises what the database raises.
        """
        prompt, seen = result.read.prompt, result.read.seen
        if not prompt.tokens:
            return
        self.remember(caller, result, blocked=True, is_abuse=True)
        await self._prompts.condemn(caller.organization_id, seen.invocation_id, seen.prompt_hash, prompt.vector)

    async def forgive(self, organization_id: UUID, hashed: str) -> list[UUID]:
        """A prompt was blocked wrongly: its copies are free. Returns the invocations that it was blocked in."""
        freed = await self._prompts.forgive(organization_id, hashed)
        self._memory.forget_blocked(organization_id, hashed)
        return freed

    def _read(self, caller: Caller, text: str) -> tuple[str, PromptVector]:
        return prompt_hash(caller.organization_id, text), self._embedder.embed(text)

    async def _compare(
        self, organization_id: UUID, read: ReadPrompt
    ) -> tuple[Looked, Match | None, Match | None, Match | None, Campaign | None]:
        """Where was looked; the nearest of all, of the blocked and of those let through; the campaign."""
        prompt, seen, own = read.prompt, read.seen, read.seen.invocation_id
        known = self._memory.at_hand(organization_id)
        recent = None if known is None else _nearest(known, prompt, own)
        if known is not None and (known.is_whole or (recent is not None and recent.prompt_hash == seen.prompt_hash)):
            looked, indexed = Looked.MEMORY, None
        else:
            looked, indexed, known = await self._ask(organization_id, prompt, own, known)
        if known is None:
            return looked, indexed, None, None, None
        scores = known.recent.scores(prompt.vector)
        blocked = known.blocked.nearest(known.blocked.scores(prompt.vector), other_than=own)
        let_through = known.recent.nearest(scores, other_than=own, blocked=False, not_among=known.blocked)
        if indexed is not None and not known.blocked.has_hash(indexed.prompt_hash):
            let_through = _nearer(let_through, indexed)
        nearest = _nearer(_nearer(known.recent.nearest(scores, other_than=own), blocked), indexed)
        copies = known.recent.copies(
            scores, read.band.near_copy, since=seen.at - self._campaigns.window_s, other_than=own
        )
        near_known = read.known_abuse >= read.band.known_abuse
        campaign = campaign_of(seen, copies, self._campaigns, near_known_abuse=near_known)
        return looked, nearest, blocked, let_through, campaign

    async def _ask(
        self, organization_id: UUID, prompt: PromptVector, own: UUID, known: Known | None
    ) -> tuple[Looked, Match | None, Known | None]:
        """Postgres: the nearest in the index, and the latest prompts where they are not in memory yet."""
        if len(self._searching) >= MOST_SEARCHES:
            return Looked.LATE, None, known
        search = asyncio.create_task(self._search(organization_id, prompt, own, known), name="search prompts")
        self._searching.add(search)
        search.add_done_callback(self._searched)
        try:
            async with asyncio.timeout(self._deadline_s):
                # Shielded: a search that is too late ends by itself, by its statement's time-out. Cancelling it would
                # cost its connection, and while that is replaced the next ones are late, too, and so on for ever.
                return await asyncio.shield(search)
        except _UNREADABLE as error:
            log.info("a prompt was not compared with the index: %s", type(error).__name__)
            return Looked.LATE, None, known

    async def _search(
        self, organization_id: UUID, prompt: PromptVector, own: UUID, known: Known | None
    ) -> tuple[Looked, Match | None, Known | None]:
        if known is None:
            known = await self._memory.of(organization_id)
        if known.is_whole:
            return Looked.MEMORY, None, known
        return Looked.INDEX, await self._prompts.nearest(organization_id, prompt.vector, other_than=own), known

    def _searched(self, search: asyncio.Task[tuple[Looked, Match | None, Known | None]]) -> None:
        self._searching.discard(search)
        if not search.cancelled():
            search.exception()  # whoever waits is told

    async def _raise(self, alert: Alert) -> None:
        try:
            await self._alerts.raise_alert(alert)
        except _UNREADABLE:
            log.warning("the alert %s could not be raised", alert.dedup_key, exc_info=True)


def _nearest(known: Known, prompt: PromptVector, own: UUID) -> Match | None:
    return known.recent.nearest(known.recent.scores(prompt.vector), other_than=own)


def _nearer(one: Match | None, other: Match | None) -> Match | None:
    if one is None or other is None:
        return one or other
    return one if one.score >= other.score else other


def _alert(caller: Caller, seen: SeenPrompt, campaign: Campaign) -> Alert:
    senders = f"{campaign.users} sender{'s' if campaign.users > 1 else ''}"
    return Alert(
        organization_id=caller.organization_id,
        kind=AlertKind.CAMPAIGN,
        severity=Severity.HIGH if campaign.blocked or seen.blocked else Severity.MEDIUM,
        title=f"{campaign.copies} near-copies of one prompt from {senders}",
        text=f"{campaign.blocked + seen.blocked} of them were blocked. List them with "
        f"GET /api/v1/similarity-logs?prompt_hash={seen.prompt_hash}; block the user, agent or address if it goes on.",
        subject=None if campaign.users > 1 or caller.user_id is None else f"user:{caller.user_id}",
        dedup_key=f"campaign:{'many' if campaign.users > 1 else caller.user_id or caller.agent_id or 'unnamed'}",
        invocation_id=seen.invocation_id,
        details={"copies": campaign.copies, "users": campaign.users, "blocked": campaign.blocked + seen.blocked},
    )
