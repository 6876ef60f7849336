from __future__ import annotations

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from customhouse.contracts.errors import NotFound, UnprocessableField
from customhouse.storage import audit
from customhouse.storage.organizations import Organizations


async def test_an_organization_is_made_once_and_audited_once(fresh_engine: AsyncEngine) -> None:
    organizations = Organizations(fresh_engine)
    made = await asyncio.gather(*(organizations.ensure("acme", actor="test") for _ in range(5)))
    assert len({record.id for record in made}) == 1
    assert await organizations.find("acme") == made[0]
    assert await organizations.list_all() == [made[0]]
    async with fresh_engine.connect() as connection:
        assert (await audit.verify(connection, made[0].id)).entries == 1


async def test_an_unknown_name_is_not_found(engine: AsyncEngine) -> None:
    with pytest.raises(NotFound, match="'nobody'"):
        await Organizations(engine).find("nobody")


@pytest.mark.parametrize("name", ["", "   ", "a\0b", "line\nbreak", "x" * 129])
async def test_a_bad_name_is_refused(engine: AsyncEngine, name: str) -> None:
    with pytest.raises(UnprocessableField) as caught:
        await Organizations(engine).ensure(name, actor="test")
    assert caught.value.param == "name"
