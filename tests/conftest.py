"""Shared fixtures. `database_url` and `temporal_address` start their server at the first test that asks for one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from tests.stack import fresh_database, running_postgres, running_temporal, running_valkey
from workers.embedded.postgres import Postgres


@pytest.fixture(scope="session")
async def postgres() -> AsyncIterator[Postgres]:
    """The run's Postgres."""
    async with running_postgres() as server:
        yield server


@pytest.fixture
async def database_url(postgres: Postgres) -> AsyncIterator[str]:
    """A fresh database, migrated to head, for this test alone."""
    async with fresh_database(postgres) as url:
        yield url


@pytest.fixture(scope="session")
async def temporal_address() -> AsyncIterator[str]:
    """Address of the run's Temporal server (namespace `default`, our search attributes registered)."""
    async with running_temporal() as server:
        yield server.address


@pytest.fixture(scope="session")
async def valkey_url() -> AsyncIterator[str]:
    """URL of the run's Valkey. Keys bear an organization's id, so tests do not meet in it."""
    async with running_valkey() as server:
        yield server.url


@pytest.fixture
def task_queue() -> str:
    """A task queue of this test's own."""
    return f"test-{uuid4().hex}"
