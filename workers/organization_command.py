"""What commands on one organization share: an engine for the time of the command, and the organization by its name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from customhouse.contracts.errors import UnprocessableField
from customhouse.storage.engine import create_engine
from customhouse.storage.organizations import Organizations

T = TypeVar("T")

ACTOR = "command-line"
"""As the audit log names who did it."""


async def for_organization(
    database_url: str, organization: str, work: Callable[[AsyncEngine, UUID], Awaitable[T]], *, name: str
) -> T:
    """Raises NotFound if there is no such organization. `name`: of the command, for Postgres's list of connections."""
    engine = create_engine(database_url, pool_size=1, application_name=f"customhouse-{name}")
    try:
        owner = await Organizations(engine).find(organization)
        return await work(engine, owner.id)
    finally:
        await engine.dispose()


def parsed_id(text: str, *, of: str, shown_by: str) -> UUID:
    """Raises UnprocessableField if `text` is no id."""
    try:
        return UUID(text)
    except ValueError as error:
        raise UnprocessableField(f"{text!r} is no {of} id. `{shown_by}` shows them.", param="id") from error
