from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from customhouse.contracts.errors import NotFound, UnprocessableField
from customhouse.storage.ids import new_id
from customhouse.storage.keys import Keys, Principal, Refusal, Role
from customhouse.storage.models import ApiKey, AuditLog

TOMORROW = datetime.now(UTC) + timedelta(days=1)


@pytest.fixture
def keys(engine: AsyncEngine) -> Keys:
    return Keys(engine)


async def audited(engine: AsyncEngine, organization: UUID) -> list[tuple[str, str, str]]:
    async with engine.connect() as connection:
        rows = await connection.execute(
            select(AuditLog.actor, AuditLog.action, AuditLog.target)
            .where(AuditLog.organization_id == organization)
            .order_by(AuditLog.sequence)
        )
        return [(row.actor, row.action, row.target) for row in rows]


class TestCreate:
    async def test_the_secret_is_random_shown_once_and_stored_hashed(
        self, engine: AsyncEngine, keys: Keys, organization: UUID
    ) -> None:
        first, second = [
            await keys.create(organization, name="ci", role=Role.MEMBER, expires_at=None, actor="test")
            for _ in range(2)
        ]
        assert first.secret != second.secret
        assert first.secret.startswith("ck_")
        assert len(first.secret) == 46
        assert first.secret.startswith(first.record.prefix)
        assert len(first.record.prefix) == 11
        async with engine.connect() as connection:
            row = (await connection.execute(select(ApiKey).where(ApiKey.id == first.record.id))).one()
        assert first.secret not in str(row)
        assert len(row.secret_hash) == 32

    async def test_it_is_audited_without_the_secret(self, engine: AsyncEngine, keys: Keys, organization: UUID) -> None:
        created = await keys.create(organization, name="ci", role=Role.ADMIN, expires_at=TOMORROW, actor="ann")
        assert (await audited(engine, organization))[-1] == ("ann", "api_key.created", str(created.record.id))
        async with engine.connect() as connection:
            details = (
                (await connection.execute(select(AuditLog.details).where(AuditLog.target == str(created.record.id))))
                .scalars()
                .first()
            )
        assert details == {"name": "ci", "role": "admin", "expires_at": TOMORROW.isoformat()}

    @pytest.mark.parametrize("name", ["", " ", "a\0", "x" * 129, "embedded"])
    async def test_a_bad_name_is_refused(self, keys: Keys, organization: UUID, name: str) -> None:
        with pytest.raises(UnprocessableField) as caught:
            await keys.create(organization, name=name, role=Role.MEMBER, expires_at=None, actor="test")
        assert caught.value.param == "name"

    @pytest.mark.parametrize("expires_at", [datetime(2020, 1, 1, tzinfo=UTC), datetime(2999, 1, 1)])  # noqa: DTZ001
    async def test_a_past_or_naive_expiry_is_refused(
        self, keys: Keys, organization: UUID, expires_at: datetime
    ) -> None:
        with pytest.raises(UnprocessableField) as caught:
            await keys.create(organization, name="ci", role=Role.MEMBER, expires_at=expires_at, actor="test")
        assert caught.value.param == "expires_at"

    async def test_an_unknown_organization_is_not_found(self, keys: Keys) -> None:
        with pytest.raises(NotFound):
            await keys.create(new_id(), name="ci", role=Role.MEMBER, expires_at=None, actor="test")


class TestAuthenticate:
    async def test_a_good_key_says_who_it_is(self, keys: Keys, organization: UUID) -> None:
        created = await keys.create(organization, name="ci", role=Role.OPERATOR, expires_at=TOMORROW, actor="test")
        assert await keys.authenticate(created.secret) == Principal(
            organization, created.record.id, Role.OPERATOR, "ci"
        )

    @pytest.mark.parametrize("secret", ["", "ck_", "ck_" + "A" * 43, "\0", "\ud800", "ключ", "x" * 10_000])
    async def test_any_other_string_is_unknown(self, keys: Keys, organization: UUID, secret: str) -> None:
        await keys.create(organization, name="ci", role=Role.MEMBER, expires_at=None, actor="test")
        assert await keys.authenticate(secret) is Refusal.UNKNOWN

    async def test_an_expired_key_is_refused(self, engine: AsyncEngine, keys: Keys, organization: UUID) -> None:
        created = await keys.create(organization, name="ci", role=Role.MEMBER, expires_at=TOMORROW, actor="test")
        async with engine.begin() as connection:
            expired = datetime.now(UTC) - timedelta(seconds=1)
            await connection.execute(update(ApiKey).where(ApiKey.id == created.record.id).values(expires_at=expired))
        assert await keys.authenticate(created.secret) is Refusal.EXPIRED

    async def test_a_revoked_key_is_refused(self, keys: Keys, organization: UUID) -> None:
        created = await keys.create(organization, name="ci", role=Role.MEMBER, expires_at=None, actor="test")
        await keys.revoke(organization, created.record.id, actor="test")
        assert await keys.authenticate(created.secret) is Refusal.REVOKED


class TestRevoke:
    async def test_revoking_twice_is_once(self, engine: AsyncEngine, keys: Keys, organization: UUID) -> None:
        created = await keys.create(organization, name="ci", role=Role.MEMBER, expires_at=None, actor="test")
        first = await keys.revoke(organization, created.record.id, actor="ann")
        second = await keys.revoke(organization, created.record.id, actor="bob")
        assert first.revoked_at is not None
        assert second == first
        revocations = [entry for entry in await audited(engine, organization) if entry[1] == "api_key.revoked"]
        assert revocations == [("ann", "api_key.revoked", str(created.record.id))]

    async def test_a_stranger_s_key_is_not_found_and_stays_good(
        self, keys: Keys, organization: UUID, stranger: UUID
    ) -> None:
        created = await keys.create(organization, name="ci", role=Role.MEMBER, expires_at=None, actor="test")
        with pytest.raises(NotFound):
            await keys.revoke(stranger, created.record.id, actor="mallory")
        assert isinstance(await keys.authenticate(created.secret), Principal)


class TestList:
    async def test_an_organization_sees_its_own_keys_newest_first(
        self, keys: Keys, organization: UUID, stranger: UUID
    ) -> None:
        made = [
            (await keys.create(organization, name=name, role=Role.MEMBER, expires_at=None, actor="test")).record
            for name in ("first", "second")
        ]
        await keys.create(stranger, name="theirs", role=Role.MEMBER, expires_at=None, actor="test")
        assert await keys.list_all(organization) == made[::-1]


def test_roles_include_the_lesser_ones() -> None:
    assert Role.ADMIN.includes(Role.OPERATOR)
    assert Role.OPERATOR.includes(Role.OPERATOR)
    assert not Role.MEMBER.includes(Role.OPERATOR)
