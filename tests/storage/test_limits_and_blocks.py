"""Limits and block lists: bound to an organization, audited, and told to all who listen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from customhouse.contracts.errors import NotFound
from customhouse.contracts.rate_limits import BlockEffect, BlockKind, LimitMetric, LimitRule, LimitScope
from customhouse.storage import audit, blocks, limits
from customhouse.storage.blocks import BlockFilter, Blocks, NewBlock
from customhouse.storage.bus import Bus
from customhouse.storage.governance_events import EventRow, GovernanceEvents
from customhouse.storage.ids import new_id
from customhouse.storage.limits import Limits
from customhouse.storage.models import AuditLog, GovernanceEvent
from customhouse.storage.pages import PageRequest
from tests.doubles.house import until

ALL = PageRequest.of(200)


def rule(amount: str = "60", **more: Any) -> LimitRule:
    given: dict[str, Any] = {"scope": LimitScope.USER, "metric": LimitMetric.REQUESTS, "window_s": 60, **more}
    return LimitRule(amount=Decimal(amount), **given)


def entry(subject: str = "u", **more: Any) -> NewBlock:
    return NewBlock(**{"kind": BlockKind.USER, "subject": subject, "reason": "a test", **more})


async def audited(engine: AsyncEngine, organization: UUID) -> list[tuple[str, str]]:
    async with engine.connect() as connection:
        rows = await connection.execute(
            select(AuditLog.actor, AuditLog.action)
            .where(AuditLog.organization_id == organization, AuditLog.action.regexp_match("^(rate_limit|block)"))
            .order_by(AuditLog.sequence)
        )
        assert (await audit.verify(connection, organization)).is_sound
        return [(row.actor, row.action) for row in rows]


@pytest.fixture
async def heard(storage_url: str) -> AsyncIterator[list[str]]:
    """What the bus says of changes."""
    messages: list[str] = []
    async with Bus(storage_url) as bus:
        for channel in (limits.CHANGED_CHANNEL, blocks.CHANGED_CHANNEL):
            await bus.subscribe(channel, messages.append, on_gap=lambda: None)
        yield messages


async def arrived(messages: list[str], count: int) -> None:
    await until(lambda: len(messages) >= count)


class TestLimits:
    async def test_a_limit_is_set_changed_and_removed(
        self, engine: AsyncEngine, organization: UUID, heard: list[str]
    ) -> None:
        stored = Limits(engine)
        first = await stored.put(organization, rule("60"), actor="alice")
        changed = await stored.put(organization, rule("90"), actor="bob")
        assert changed.id == first.id
        assert (changed.amount, changed.updated_by) == (Decimal(90), "bob")
        assert await stored.list_all(organization) == [changed]
        assert changed.model_dump(mode="json")["amount"] == "90"
        assert await stored.remove(organization, first.id, actor="alice") == changed
        assert await stored.list_all(organization) == []
        assert await audited(engine, organization) == [
            ("alice", "rate_limit.set"),
            ("bob", "rate_limit.set"),
            ("alice", "rate_limit.removed"),
        ]
        await arrived(heard, 3)
        assert heard == [str(organization)] * 3

    async def test_each_window_and_metric_has_its_own(self, engine: AsyncEngine, organization: UUID) -> None:
        stored = Limits(engine)
        for different in ({}, {"window_s": 3600}, {"metric": LimitMetric.TOKENS}, {"subject": "vip"}):
            await stored.put(organization, rule(**different), actor="test")
        assert len(await stored.list_all(organization)) == 4

    async def test_they_are_nobody_elses(self, engine: AsyncEngine, organization: UUID, stranger: UUID) -> None:
        stored = Limits(engine)
        record = await stored.put(organization, rule(), actor="test")
        assert await stored.list_all(stranger) == []
        with pytest.raises(NotFound):
            await stored.remove(stranger, record.id, actor="test")
        everything = await stored.of_every_organization()
        assert list(everything[organization]) == [record]
        assert stranger not in everything

    async def test_money_keeps_its_digits(self, engine: AsyncEngine, organization: UUID) -> None:
        record = await Limits(engine).put(organization, rule("0.000001", metric=LimitMetric.USD), actor="test")
        assert record.model_dump(mode="json")["amount"] == "0.000001"


class TestBlocks:
    async def test_an_entry_is_added_and_taken_away(
        self, engine: AsyncEngine, organization: UUID, heard: list[str]
    ) -> None:
        stored = Blocks(engine)
        added = await stored.add(organization, entry(lasts=timedelta(hours=1)), actor="alice")
        assert added.expires_at is not None
        assert timedelta(minutes=59) < added.expires_at - added.created_at < timedelta(minutes=61)
        assert not added.automatic
        assert (await stored.list_page(organization, BlockFilter(), ALL)).data == [added]
        removed = await stored.remove(organization, added.id, actor="bob")
        assert removed.removed_by == "bob"
        assert await stored.remove(organization, added.id, actor="carol") == removed, "as it is"
        assert (await stored.list_page(organization, BlockFilter(), ALL)).data == []
        assert (await stored.list_page(organization, BlockFilter(past=True), ALL)).data == [removed]
        assert await audited(engine, organization) == [("alice", "block.added"), ("bob", "block.removed")]
        await arrived(heard, 2)
        assert heard == [str(organization)] * 2

    async def test_an_expired_entry_stands_no_more(self, engine: AsyncEngine, organization: UUID) -> None:
        stored = Blocks(engine)
        added = await stored.add(organization, entry(lasts=timedelta(hours=1)), actor="test")
        async with engine.begin() as connection:
            await connection.execute(
                text("UPDATE blocks SET expires_at = now() - interval '1 second' WHERE id = :id"), {"id": added.id}
            )
        assert await stored.standing(organization) == []
        assert organization not in await stored.of_every_organization()
        assert len((await stored.list_page(organization, BlockFilter(past=True), ALL)).data) == 1

    async def test_they_are_nobody_elses(self, engine: AsyncEngine, organization: UUID, stranger: UUID) -> None:
        stored = Blocks(engine)
        added = await stored.add(organization, entry(), actor="test")
        assert await stored.standing(stranger) == []
        assert (await stored.list_page(stranger, BlockFilter(past=True), ALL)).data == []
        with pytest.raises(NotFound):
            await stored.remove(stranger, added.id, actor="test")
        assert list((await stored.of_every_organization())[organization]) == [added]

    async def test_lists_are_narrowed(self, engine: AsyncEngine, organization: UUID) -> None:
        stored = Blocks(engine)
        await stored.add(organization, entry("u"), actor="test")
        await stored.add(organization, entry("192.0.2.0/24", kind=BlockKind.IP), actor="test")
        await stored.add(organization, entry("v", effect=BlockEffect.ALLOW), actor="test")
        for asked, found in (
            ({"kind": BlockKind.IP}, {"192.0.2.0/24"}),
            ({"effect": BlockEffect.ALLOW}, {"v"}),
            ({"subject": "u"}, {"u"}),
        ):
            page = await stored.list_page(organization, BlockFilter.model_validate(asked), ALL)
            assert {each.subject for each in page.data} == found

    async def test_processes_that_see_the_same_block_once(self, engine: AsyncEngine, organization: UUID) -> None:
        stored = Blocks(engine)
        asked = entry(network="192.0.2.1", lasts=timedelta(hours=1))
        made = await asyncio.gather(*(stored.add_automatic(organization, asked, actor="customhouse") for _ in range(6)))
        assert sum(each is not None for each in made) == 1
        (standing,) = await stored.standing(organization)
        assert standing.automatic
        assert await audited(engine, organization) == [("customhouse", "block.added")]
        elsewhere = await stored.add_automatic(
            organization, entry(network="192.0.2.2", lasts=timedelta(hours=1)), actor="customhouse"
        )
        assert elsewhere is not None


async def test_events_without_an_invocation_are_written(engine: AsyncEngine) -> None:
    organization = new_id()
    rows = [
        EventRow(organization, "rate_limited", "refused", "u\0", {"count": 3}),
        EventRow(organization, "caller_blocked", "refused"),
    ]
    await GovernanceEvents(engine).write(rows)
    async with engine.connect() as connection:
        found = await connection.execute(
            select(GovernanceEvent.event_type, GovernanceEvent.user_id, GovernanceEvent.details)
            .where(GovernanceEvent.organization_id == organization)
            .order_by(GovernanceEvent.id)
        )
        assert [tuple(row) for row in found] == [
            ("rate_limited", "u\N{REPLACEMENT CHARACTER}", {"count": 3}),
            ("caller_blocked", None, {}),
        ]
