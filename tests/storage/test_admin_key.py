from __future__ import annotations

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from customhouse.contracts.errors import ConfigurationError
from customhouse.storage import audit
from customhouse.storage.admin_key import ensure_admin_key
from customhouse.storage.keys import Keys, Principal, Refusal, Role
from customhouse.storage.organizations import Organizations


async def ensure(engine: AsyncEngine, secret: str) -> Principal:
    return await ensure_admin_key(engine, organization_name="default", secret=secret)


async def test_it_is_made_once_by_all_processes_that_start(fresh_engine: AsyncEngine) -> None:
    principals = await asyncio.gather(*(ensure(fresh_engine, "ck_fixed_key") for _ in range(4)))
    assert len(set(principals)) == 1
    principal = principals[0]
    assert principal.role is Role.ADMIN
    assert await Keys(fresh_engine).authenticate("ck_fixed_key") == principal
    async with fresh_engine.connect() as connection:
        report = await audit.verify(connection, principal.organization_id)
    assert report.is_sound
    assert report.entries == 2  # the organization and the key


async def test_a_changed_setting_supersedes_the_former_key(fresh_engine: AsyncEngine) -> None:
    first = await ensure(fresh_engine, "ck_first")
    other = await Keys(fresh_engine).create(
        first.organization_id, name="ci", role=Role.ADMIN, expires_at=None, actor="test"
    )
    second = await ensure(fresh_engine, "ck_second")
    keys = Keys(fresh_engine)
    assert await keys.authenticate("ck_first") is Refusal.REVOKED
    assert await keys.authenticate("ck_second") == second
    assert isinstance(await keys.authenticate(other.secret), Principal)


async def test_a_setting_that_goes_back_takes_the_former_key_in_again(fresh_engine: AsyncEngine) -> None:
    first = await ensure(fresh_engine, "ck_first")
    await ensure(fresh_engine, "ck_second")
    assert await ensure(fresh_engine, "ck_first") == first
    assert await Keys(fresh_engine).authenticate("ck_first") == first
    assert await Keys(fresh_engine).authenticate("ck_second") is Refusal.REVOKED


async def test_a_key_that_a_person_revoked_stays_revoked(fresh_engine: AsyncEngine) -> None:
    first = await ensure(fresh_engine, "ck_leaked")
    await Keys(fresh_engine).revoke(first.organization_id, first.key_id, actor="ann")
    with pytest.raises(ConfigurationError, match="revoked"):
        await ensure(fresh_engine, "ck_leaked")
    assert await Keys(fresh_engine).authenticate("ck_leaked") is Refusal.REVOKED


async def test_the_secret_of_another_key_is_refused(fresh_engine: AsyncEngine) -> None:
    organization = await Organizations(fresh_engine).ensure("default", actor="test")
    other = await Keys(fresh_engine).create(organization.id, name="ci", role=Role.MEMBER, expires_at=None, actor="test")
    with pytest.raises(ConfigurationError, match="another key"):
        await ensure(fresh_engine, other.secret)


async def test_a_short_secret_is_not_given_away_by_its_prefix(fresh_engine: AsyncEngine) -> None:
    principal = await ensure(fresh_engine, "secret-key")
    [record] = await Keys(fresh_engine).list_all(principal.organization_id)
    assert record.prefix == "sec"


@pytest.mark.parametrize("secret", ["", "two words", "zwölf", "line\n", "nul\0"])
async def test_a_secret_that_no_header_can_carry_is_refused(fresh_engine: AsyncEngine, secret: str) -> None:
    with pytest.raises(ConfigurationError, match="CUSTOMHOUSE_ADMIN_KEY"):
        await ensure(fresh_engine, secret)
