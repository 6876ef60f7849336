"""Fixtures of the end-to-end tests: one process that they share, and for each test a provider without a past."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from customhouse.storage.keys import Role
from tests.doubles.house import House, Tenant, running_house, until
from tests.doubles.provider import ProviderDouble, running_provider
from tests.stack import fresh_database
from workers.embedded.postgres import Postgres


@pytest.fixture(scope="session")
async def shared_provider() -> AsyncIterator[ProviderDouble]:
    async with running_provider() as double:
        yield double


@pytest.fixture(scope="session")
async def house(postgres: Postgres, temporal_address: str, shared_provider: ProviderDouble) -> AsyncIterator[House]:
    """The process that tests share; each has an organization of its own in it."""
    async with fresh_database(postgres) as url:
        queue = f"house-{uuid4().hex}"
        async with running_house(
            url, temporal_address, shared_provider, queue, temporal_ui_url="http://127.0.0.1:8233"
        ) as running:
            yield running


@pytest.fixture
async def provider(shared_provider: ProviderDouble) -> AsyncIterator[ProviderDouble]:
    """Nothing asked and nothing scripted; at the end of the test nothing may be under way."""
    shared_provider.forget()
    yield shared_provider
    await until(lambda: not shared_provider.busy)
    shared_provider.forget()


@pytest.fixture
async def tenant(
    house: House,
    provider: ProviderDouble,  # noqa: ARG001 - each test starts with a fresh one
) -> AsyncIterator[Tenant]:
    """A member's key of a new organization."""
    yield await house.tenant(Role.MEMBER)
    await house.close_clients()
