"""What tests of the storage share: one database for all of them, in which each test has organizations of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from customhouse.storage.engine import create_engine
from customhouse.storage.organizations import Organizations
from tests.stack import fresh_database
from workers.embedded.postgres import Postgres


@pytest.fixture(scope="session")
async def storage_url(postgres: Postgres) -> AsyncIterator[str]:
    """The database that they share."""
    async with fresh_database(postgres) as url:
        yield url


@pytest.fixture(scope="session")
async def engine(storage_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(storage_url, pool_size=8, application_name="customhouse-test")
    yield engine
    await engine.dispose()


@pytest.fixture
async def fresh_engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """For a test that looks at more than its own organizations."""
    engine = create_engine(database_url, pool_size=8, application_name="customhouse-test")
    yield engine
    await engine.dispose()


@pytest.fixture
async def organization(engine: AsyncEngine) -> UUID:
    return (await Organizations(engine).ensure(f"acme {uuid4()}", actor="test")).id


@pytest.fixture
async def stranger(engine: AsyncEngine) -> UUID:
    """Another organization, which must never see the first one's."""
    return (await Organizations(engine).ensure(f"globex {uuid4()}", actor="test")).id
