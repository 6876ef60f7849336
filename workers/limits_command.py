"""`customhouse limits`: rate limits, for whoever operates the installation."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from rich.console import Console
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncEngine

from api.limits import parse_limit
from customhouse.contracts.errors import UnprocessableField
from customhouse.contracts.money import plain
from customhouse.governance.limits.rules import duration
from customhouse.storage.limits import LimitRecord, Limits
from workers.organization_command import ACTOR, for_organization, parsed_id


async def put(
    database_url: str, organization: str, *, scope: str, metric: str, amount: str, window: str, subject: str
) -> LimitRecord:
    """Raises UnprocessableField, naming what is wrong, and NotFound if there is no such organization."""
    values: dict[str, Any] = {"scope": scope, "subject": subject, metric: _number(amount), "window_s": seconds(window)}
    (rule,) = parse_limit(values)

    async def work(engine: AsyncEngine, organization_id: UUID) -> LimitRecord:
        return await Limits(engine).put(organization_id, rule, actor=ACTOR)

    return await for_organization(database_url, organization, work, name="limits")


async def remove(database_url: str, organization: str, limit_id: str) -> LimitRecord:
    """Raises UnprocessableField if `limit_id` is no id, NotFound if the organization has no such limit."""
    parsed = parsed_id(limit_id, of="limit", shown_by="customhouse limits list")

    async def work(engine: AsyncEngine, organization_id: UUID) -> LimitRecord:
        return await Limits(engine).remove(organization_id, parsed, actor=ACTOR)

    return await for_organization(database_url, organization, work, name="limits")


async def list_all(database_url: str, organization: str) -> list[LimitRecord]:
    async def work(engine: AsyncEngine, organization_id: UUID) -> list[LimitRecord]:
        return await Limits(engine).list_all(organization_id)

    return await for_organization(database_url, organization, work, name="limits")


def seconds(window: str) -> int:
    """`minute`, `5 minutes`, `day`, or a number of seconds. Raises UnprocessableField for anything else."""
    from limits import parse

    if window.isdecimal():
        return int(window)
    try:
        return parse(f"1 per {window}").get_expiry()
    except ValueError as error:
        raise UnprocessableField(
            f"{window!r} is no window. Write it as minute, 5 minutes, hour, day, or as a number of seconds.",
            param="per",
        ) from error


def _number(text: str) -> int | float | str:
    """What is no number stays a text, which the rules for amounts refuse by name."""
    try:
        return int(text) if text.isdecimal() else float(text)
    except ValueError:
        return text


def show(console: Console, records: list[LimitRecord]) -> None:
    table = Table()
    table.add_column("id", min_width=36, no_wrap=True)  # whole in any terminal, to be pasted into `limits remove`
    for name in ("scope", "subject", "amount", "in", "set by"):
        table.add_column(name)
    for record in records:
        amount = f"{plain(record.amount)} {record.metric}"
        table.add_row(
            str(record.id), record.scope, record.subject, amount, duration(record.window_s * 1000), record.updated_by
        )
    console.print(table)
