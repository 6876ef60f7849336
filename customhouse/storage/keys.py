"""API keys: made, listed, revoked, and looked up on every request.

A secret is `ck_` and 43 base64url characters: 256 bits of the operating system's randomness. It is shown once and
stored as its SHA-256, which needs no salt or slow hash, since no table and no search covers 256 bits.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Row, bindparam, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from customhouse.contracts.errors import NotFound, UnprocessableField
from customhouse.storage import audit
from customhouse.storage.engine import in_transaction, reader
from customhouse.storage.ids import new_id
from customhouse.storage.models import ApiKey, Organization

KEY_MARK = "ck_"
LONGEST_NAME = 128
"""Characters."""

EMBEDDED_NAME = "embedded"
"""Name of the admin key that the settings fix (`admin_key.py`); no other key may take it."""


class Role(StrEnum):
    """What a key may do. Each role may do all that the ones before it may."""

    MEMBER = "member"
    """Make invocations, and see its organization's."""
    OPERATOR = "operator"
    """Also read encrypted history."""
    ADMIN = "admin"
    """Also what is to come for administrators; keys are managed by command, on the installation itself."""

    def includes(self, other: Role) -> bool:
        order = list(Role)
        return order.index(self) >= order.index(other)


class Refusal(StrEnum):
    """Why a secret was not accepted. For logs: whoever shows it is told only that it is invalid."""

    UNKNOWN = "unknown"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a request comes from."""

    organization_id: UUID
    key_id: UUID
    role: Role
    name: str
    """Of the key."""

    @property
    def actor(self) -> str:
        """As the audit log names it."""
        return f"key:{self.key_id}"


class KeyRecord(BaseModel):
    """A key as it is shown: without its secret, which nobody has any more."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    organization_id: UUID
    name: str
    role: Role
    prefix: str
    """The secret's first characters."""
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A new key and its secret, which can be shown this once."""

    record: KeyRecord
    secret: str


class Keys:
    """Makes, lists, revokes and authenticates keys. Each call is bound to one organization, but for `authenticate`,
    which finds out the organization."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reader = reader(engine)

    async def create(
        self, organization_id: UUID, *, name: str, role: Role, expires_at: datetime | None, actor: str
    ) -> CreatedKey:
        """Raises UnprocessableField for a bad name or a past expiry, NotFound for an unknown organization."""
        _validate(name, expires_at)
        secret = KEY_MARK + secrets.token_urlsafe(32)
        key_id = new_id()

        async def work(connection: AsyncConnection) -> KeyRecord:
            organization = await connection.execute(select(Organization.id).where(Organization.id == organization_id))
            if organization.one_or_none() is None:
                raise NotFound(f"There is no organization {organization_id}.", param="organization_id")
            return await insert_key(
                connection,
                key_id,
                organization_id,
                name=name,
                role=role,
                secret=secret,
                expires_at=expires_at,
                actor=actor,
            )

        return CreatedKey(await in_transaction(self._engine, work), secret)

    async def list_all(self, organization_id: UUID) -> list[KeyRecord]:
        """All keys of the organization, revoked and expired ones too, newest first."""

        async def read(connection: AsyncConnection) -> list[KeyRecord]:
            rows = await connection.execute(
                select(*COLUMNS).where(ApiKey.organization_id == organization_id).order_by(ApiKey.id.desc())
            )
            return [record(row) for row in rows]

        return await in_transaction(self._reader, read)

    async def revoke(self, organization_id: UUID, key_id: UUID, *, actor: str) -> KeyRecord:
        """Revoke a key, or leave it as it is if it is revoked. Raises NotFound, also for another organization's."""
        return await in_transaction(
            self._engine, lambda connection: revoke_in(connection, organization_id, key_id, actor=actor)
        )

    async def authenticate(self, secret: str) -> Principal | Refusal:
        """Whose key the secret is, or why it is not accepted. One indexed read."""

        async def read(connection: AsyncConnection) -> Row[*tuple[Any, ...]] | None:
            return (await connection.execute(_AUTHENTICATE, {"secret_hash": hash_secret(secret)})).one_or_none()

        row = await in_transaction(self._reader, read)
        if row is None:
            return Refusal.UNKNOWN
        if row.revoked_at is not None:
            return Refusal.REVOKED
        if row.is_expired:
            return Refusal.EXPIRED
        return Principal(row.organization_id, row.id, Role(row.role), row.name)


def hash_secret(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


async def insert_key(
    connection: AsyncConnection,
    key_id: UUID,
    organization_id: UUID,
    *,
    name: str,
    role: Role,
    secret: str,
    expires_at: datetime | None,
    actor: str,
) -> KeyRecord:
    """Write a key and its audit row in the caller's transaction."""
    row = (
        await connection.execute(
            insert(ApiKey)
            .values(
                id=key_id,
                organization_id=organization_id,
                name=name,
                role=role.value,
                # A third at most: a key that someone chose by hand may be short.
                prefix=secret[: min(len(KEY_MARK) + 8, len(secret) // 3)],
                secret_hash=hash_secret(secret),
                expires_at=expires_at,
            )
            .returning(*COLUMNS)
        )
    ).one()
    details = {"name": name, "role": role.value, "expires_at": expires_at.isoformat() if expires_at else None}
    await audit.append(
        connection, organization_id, actor=actor, action="api_key.created", target=str(key_id), details=details
    )
    return record(row)


async def revoke_in(
    connection: AsyncConnection, organization_id: UUID, key_id: UUID, *, actor: str, action: str = "api_key.revoked"
) -> KeyRecord:
    """As `Keys.revoke`, in the caller's transaction."""
    is_this = (ApiKey.organization_id == organization_id, ApiKey.id == key_id)
    revoked = (
        await connection.execute(
            update(ApiKey)
            .where(*is_this, ApiKey.revoked_at.is_(None))
            .values(revoked_at=func.now())
            .returning(*COLUMNS)
        )
    ).one_or_none()
    if revoked is not None:
        await audit.append(
            connection, organization_id, actor=actor, action=action, target=str(key_id), details={"name": revoked.name}
        )
        return record(revoked)
    standing = (await connection.execute(select(*COLUMNS).where(*is_this))).one_or_none()
    if standing is None:
        raise NotFound(f"There is no key {key_id} in this organization.", param="key_id")
    return record(standing)


def _validate(name: str, expires_at: datetime | None) -> None:
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise UnprocessableField(
            f"A key's name is 1 to {LONGEST_NAME} printable characters; {name[:LONGEST_NAME]!r} is not.", param="name"
        )
    if name == EMBEDDED_NAME:
        raise UnprocessableField(
            f"The name {EMBEDDED_NAME!r} is kept for the admin key that the settings fix. Choose another.", param="name"
        )
    if expires_at is None:
        return
    if expires_at.tzinfo is None:
        raise UnprocessableField(
            f"expires_at {expires_at.isoformat()} bears no time zone. Add one, such as +00:00.", param="expires_at"
        )
    if expires_at <= datetime.now(UTC):
        raise UnprocessableField(
            f"expires_at {expires_at.isoformat()} has passed. Choose a time to come, or leave it out.",
            param="expires_at",
        )


COLUMNS = (
    ApiKey.id,
    ApiKey.organization_id,
    ApiKey.name,
    ApiKey.role,
    ApiKey.prefix,
    ApiKey.created_at,
    ApiKey.expires_at,
    ApiKey.revoked_at,
)

_AUTHENTICATE = select(
    ApiKey.id,
    ApiKey.organization_id,
    ApiKey.role,
    ApiKey.name,
    ApiKey.revoked_at,
    (ApiKey.expires_at <= func.now()).label("is_expired"),
).where(ApiKey.secret_hash == bindparam("secret_hash"))


def record(row: Row[*tuple[Any, ...]]) -> KeyRecord:
    return KeyRecord(**row._asdict())
