"""The admin key that the settings fix (`CUSTOMHOUSE_ADMIN_KEY`): the embedded stack's way in."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from customhouse.contracts.errors import ConfigurationError
from customhouse.storage import audit, keys, organizations
from customhouse.storage.engine import in_transaction
from customhouse.storage.ids import new_id
from customhouse.storage.models import ApiKey, AuditLog, Organization

ACTOR = "settings"
"""As the audit log names who did it."""


async def ensure_admin_key(engine: AsyncEngine, *, organization_name: str, secret: str) -> keys.Principal:
    """Make sure that `secret` is an admin key of the organization, and the only one that settings ever fixed.

    May be called at every start, and by several processes at once. Where the settings changed, the new key is added and
    the former revoked; a former one is taken back in if the settings name it again.

    Raises ConfigurationError where the secret cannot be used: malformed, another key's, or revoked by a person.
    """
    if not secret or not secret.isascii() or not secret.isprintable() or " " in secret:
        raise ConfigurationError(
            "The admin key must be visible ASCII characters without spaces, since it travels in an HTTP header. "
            "Correct CUSTOMHOUSE_ADMIN_KEY."
        )

    async def work(connection: AsyncConnection) -> keys.Principal:
        organization = await organizations.ensure_in(connection, organization_name, actor=ACTOR)
        # The row's lock makes processes that start together do this one after the other.
        await connection.execute(select(Organization.id).where(Organization.id == organization.id).with_for_update())
        row = (
            await connection.execute(select(*keys.COLUMNS).where(ApiKey.secret_hash == keys.hash_secret(secret)))
        ).one_or_none()
        if row is None:
            record = await keys.insert_key(
                connection,
                new_id(),
                organization.id,
                name=keys.EMBEDDED_NAME,
                role=keys.Role.ADMIN,
                secret=secret,
                expires_at=None,
                actor=ACTOR,
            )
        else:
            record = keys.record(row)
            if record.name != keys.EMBEDDED_NAME or record.organization_id != organization.id:
                raise ConfigurationError(
                    f"CUSTOMHOUSE_ADMIN_KEY is the secret of another key ({record.name!r}, {record.id}). "
                    "Set one of its own."
                )
            if record.revoked_at is not None:
                await _restore(connection, row)
        await _supersede_others(connection, record)
        return keys.Principal(record.organization_id, record.id, record.role, record.name)

    return await in_transaction(engine, work)


async def _restore(connection: AsyncConnection, row: Row[*tuple[Any, ...]]) -> None:
    by_person = await connection.execute(
        select(AuditLog.id)
        .where(
            AuditLog.organization_id == row.organization_id,
            AuditLog.target == str(row.id),
            AuditLog.action == "api_key.revoked",
        )
        .limit(1)
    )
    if by_person.one_or_none() is not None:
        raise ConfigurationError("CUSTOMHOUSE_ADMIN_KEY is a key that was revoked. Set another one.")
    await connection.execute(update(ApiKey).where(ApiKey.id == row.id).values(revoked_at=None))
    await audit.append(
        connection,
        row.organization_id,
        actor=ACTOR,
        action="api_key.restored",
        target=str(row.id),
        details={"name": row.name},
    )


async def _supersede_others(connection: AsyncConnection, current: keys.KeyRecord) -> None:
    others = await connection.execute(
        select(ApiKey.id)
        .where(
            ApiKey.organization_id == current.organization_id,
            ApiKey.name == keys.EMBEDDED_NAME,
            ApiKey.id != current.id,
            ApiKey.revoked_at.is_(None),
        )
        .order_by(ApiKey.id)
    )
    for other in others.scalars().all():
        await keys.revoke_in(connection, current.organization_id, other, actor=ACTOR, action="api_key.superseded")
