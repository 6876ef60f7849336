"""`customhouse blocks`: who is kept out, for whoever operates the installation. It passes no door, so it also mends a
list that keeps its own operators out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from rich.console import Console
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncEngine

from api.blocks import parse_block
from customhouse.storage.blocks import BlockFilter, BlockRecord, Blocks
from customhouse.storage.pages import LARGEST_LIMIT, PageRequest
from workers.limits_command import seconds
from workers.organization_command import ACTOR, for_organization, parsed_id


async def add(
    database_url: str,
    organization: str,
    *,
    kind: str,
    subject: str,
    reason: str,
    effect: str,
    network: str | None,
    lasts: str | None,
) -> BlockRecord:
    """Raises UnprocessableField, naming what is wrong, and NotFound if there is no such organization."""
    values: dict[str, Any] = {"kind": kind, "subject": subject, "reason": reason, "effect": effect}
    if network is not None:
        values["network"] = network
    if lasts is not None:
        values["expires_in_s"] = seconds(lasts)
    entry = parse_block(values)

    async def work(engine: AsyncEngine, organization_id: UUID) -> BlockRecord:
        return await Blocks(engine).add(organization_id, entry, actor=ACTOR)

    return await for_organization(database_url, organization, work, name="blocks")


async def remove(database_url: str, organization: str, block_id: str) -> BlockRecord:
    """Raises UnprocessableField if `block_id` is no id, NotFound if the organization has no such block."""
    parsed = parsed_id(block_id, of="block", shown_by="customhouse blocks list")

    async def work(engine: AsyncEngine, organization_id: UUID) -> BlockRecord:
        return await Blocks(engine).remove(organization_id, parsed, actor=ACTOR)

    return await for_organization(database_url, organization, work, name="blocks")


async def list_newest(database_url: str, organization: str, *, past: bool) -> list[BlockRecord]:
    """The newest 200. `past`: also those that have expired or were taken away."""

    async def work(engine: AsyncEngine, organization_id: UUID) -> list[BlockRecord]:
        page = await Blocks(engine).list_page(organization_id, BlockFilter(past=past), PageRequest.of(LARGEST_LIMIT))
        return page.data

    return await for_organization(database_url, organization, work, name="blocks")


def show(console: Console, records: list[BlockRecord]) -> None:
    table = Table()
    table.add_column("id", min_width=36, no_wrap=True)  # whole in any terminal, to be pasted into `blocks remove`
    for name in ("effect", "whom", "from", "state", "by", "reason"):
        table.add_column(name)
    now = datetime.now(UTC)
    for record in records:
        whom, network = f"{record.kind} {record.subject}", record.network or ""
        table.add_row(
            str(record.id), record.effect, whom, network, _state(record, now), record.created_by, record.reason
        )
    console.print(table)


def _state(record: BlockRecord, now: datetime) -> str:
    if record.removed_at is not None:
        return f"removed {record.removed_at:%Y-%m-%d %H:%M}"
    if record.expires_at is None:
        return "holds"
    return f"{'expired' if record.expires_at <= now else 'until'} {record.expires_at:%Y-%m-%d %H:%M}"
