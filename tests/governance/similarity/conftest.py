"""The embedder, which takes 0.2 s to load."""

from __future__ import annotations

import pytest

from customhouse.governance.similarity.embedder import StaticEmbedder
from customhouse.governance.similarity.prompt_vector import PromptEmbedder


@pytest.fixture(scope="session")
def embedder() -> StaticEmbedder:
    return StaticEmbedder.load()


@pytest.fixture(scope="session")
def prompts(embedder: StaticEmbedder) -> PromptEmbedder:
    return PromptEmbedder(embedder)
