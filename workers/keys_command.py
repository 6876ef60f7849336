"""`customhouse keys`: API keys, for whoever operates the installation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

from rich.console import Console
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncEngine

from customhouse.contracts.errors import UnprocessableField
from customhouse.storage.engine import create_engine
from customhouse.storage.keys import CreatedKey, KeyRecord, Keys, Role
from customhouse.storage.organizations import Organizations

T = TypeVar("T")

ACTOR = "command-line"
"""As the audit log names who did it."""


async def create(
    database_url: str, *, organization: str, name: str, role: Role, expires_in_days: int | None
) -> CreatedKey:
    """A new key; the organization is made if there is none of that name."""
    expires_at = datetime.now(UTC) + timedelta(days=expires_in_days) if expires_in_days is not None else None

    async def work(engine: AsyncEngine) -> CreatedKey:
        owner = await Organizations(engine).ensure(organization, actor=ACTOR)
        return await Keys(engine).create(owner.id, name=name, role=role, expires_at=expires_at, actor=ACTOR)

    return await _with_engine(database_url, work)


async def list_all(database_url: str, organization: str) -> list[KeyRecord]:
    """All keys of an organization. Raises NotFound if there is no such organization."""

    async def work(engine: AsyncEngine) -> list[KeyRecord]:
        owner = await Organizations(engine).find(organization)
        return await Keys(engine).list_all(owner.id)

    return await _with_engine(database_url, work)


async def revoke(database_url: str, organization: str, key_id: str) -> KeyRecord:
    """Raises UnprocessableField if `key_id` is no id, NotFound if the organization has no such key."""
    try:
        parsed = UUID(key_id)
    except ValueError as error:
        raise UnprocessableField(f"{key_id!r} is no key id. `customhouse keys list` shows them.", param="id") from error

    async def work(engine: AsyncEngine) -> KeyRecord:
        owner = await Organizations(engine).find(organization)
        return await Keys(engine).revoke(owner.id, parsed, actor=ACTOR)

    return await _with_engine(database_url, work)


def show(console: Console, records: list[KeyRecord]) -> None:
    # The Temporal client asks for the organization's id, which is to be had nowhere else.
    title = f"organization {records[0].organization_id}" if records else None
    table = Table(title=title)
    table.add_column("id", min_width=36, no_wrap=True)  # whole in any terminal, to be pasted into `keys revoke`
    for name in ("name", "role", "begins with", "created", "state"):
        table.add_column(name)
    now = datetime.now(UTC)
    for key in records:
        table.add_row(str(key.id), key.name, key.role, key.prefix, f"{key.created_at:%Y-%m-%d %H:%M}", _state(key, now))
    console.print(table)


def _state(key: KeyRecord, now: datetime) -> str:
    if key.revoked_at is not None:
        return f"revoked {key.revoked_at:%Y-%m-%d %H:%M}"
    if key.expires_at is None:
        return "valid"
    return f"{'expired' if key.expires_at <= now else 'valid until'} {key.expires_at:%Y-%m-%d %H:%M}"


async def _with_engine(database_url: str, work: Callable[[AsyncEngine], Awaitable[T]]) -> T:
    engine = create_engine(database_url, pool_size=1, application_name="customhouse-keys")
    try:
        return await work(engine)
    finally:
        await engine.dispose()
