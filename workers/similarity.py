"""Composes what compares prompts: embedder, thresholds, the library of known abuse, memory and index."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.prompt_keeper import PromptKeeper
from activities.prompt_memory import PromptMemory
from activities.similarity import SimilarityStep
from customhouse.contracts.alerts import AlertSink
from customhouse.governance.similarity.campaign import CampaignRule
from customhouse.governance.similarity.embedder import StaticEmbedder
from customhouse.governance.similarity.known_abuse import KnownAbuse
from customhouse.governance.similarity.prompt_vector import PromptEmbedder
from customhouse.governance.similarity.thresholds import Thresholds
from customhouse.storage.prompt_index import PromptIndex
from customhouse.storage.prompt_vectors import SEARCH_SETTINGS, PromptVectors
from customhouse.storage.statements import Statements
from workers.settings import Settings

SEARCH_SHARE = 0.3
"""Of the deadline: Postgres gives a search up by itself, and its connection is good for the next one. The rest is for a
free connection, the network, and the time in which this process is busy with other calls."""

SEARCHES = 4
"""Connections for searches: each takes a core of Postgres for some milliseconds."""


@dataclass(frozen=True, slots=True)
class Similarity:
    """The parts that compare prompts, in one process."""

    step: SimilarityStep
    keeper: PromptKeeper
    """Not running: processes that clear calls run it."""


@asynccontextmanager
async def similarity(
    settings: Settings, url: str, engine: AsyncEngine, *, alerts: AlertSink
) -> AsyncIterator[Similarity]:
    """Takes some 0.2 s. Raises ConfigurationError where the embeddings or the library cannot be used."""
    searching = Statements(
        url,
        size=SEARCHES,
        application_name="customhouse-similarity",
        statement_timeout=timedelta(milliseconds=max(1.0, settings.similarity_deadline_ms * SEARCH_SHARE)),
        parameters=SEARCH_SETTINGS,
    )
    async with searching:
        prompts = PromptVectors(engine, searching)
        memory = PromptMemory(prompts)
        step = SimilarityStep(
            embedder=PromptEmbedder(StaticEmbedder.load()),
            thresholds=Thresholds.load(),
            known_abuse=KnownAbuse.load(),
            memory=memory,
            prompts=prompts,
            alerts=alerts,
            campaigns=CampaignRule(),
            deadline_s=settings.similarity_deadline_ms / 1000,
        )
        retention = timedelta(days=settings.similarity_retention_days)
        try:
            yield Similarity(step, PromptKeeper(PromptIndex(engine), retention=retention))
        finally:
            await memory.close()
