"""Composes what limits calls: rules kept from Postgres, windows in memory or Valkey, and the book of behaviour."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.admittance import Admittance
from activities.behaviour import BehaviourBook
from activities.block_book import BlockBook
from activities.limiter import Limiter
from activities.refusal_journal import Refusal, RefusalJournal
from activities.rule_book import RuleBook
from customhouse.contracts.alerts import AlertSink
from customhouse.contracts.rate_limits import BlockRule, LimitRule
from customhouse.governance.limits.behaviour import AutoBlock
from customhouse.governance.limits.blocks import BlockList
from customhouse.governance.limits.rules import Rules
from customhouse.integrations.rate_limits import GuardedWindows, MemoryWindows, ValkeyWindows, Windows
from customhouse.storage import blocks as block_storage
from customhouse.storage import limits as limit_storage
from customhouse.storage.blocks import Blocks
from customhouse.storage.bus import Bus
from customhouse.storage.governance_events import GovernanceEvents
from customhouse.storage.limits import Limits
from workers.settings import Settings


@dataclass(frozen=True, slots=True)
class Limiting:
    """The parts that limit calls, in use by one process."""

    limits: Limits
    limiter: Limiter
    blocks: Blocks
    block_book: BlockBook
    behaviour: BehaviourBook
    admittance: Admittance
    """The three as `clear` and the recorder use them."""


@asynccontextmanager
async def limiting(
    settings: Settings, engine: AsyncEngine, bus: Bus, *, organization_id: UUID, process_id: str, alerts: AlertSink
) -> AsyncIterator[Limiting]:
    """`organization_id`: the installation's own. Raises ConfigurationError for a Valkey URL that cannot be used."""
    limits, blocks = Limits(engine), Blocks(engine)
    journal = RefusalJournal(GovernanceEvents(engine).write)
    rules = RuleBook[LimitRule, Rules](Rules, limits.list_all, limits.of_every_organization)
    lists = RuleBook[BlockRule, BlockList](
        lambda _, rows: BlockList(rows), blocks.standing, blocks.of_every_organization
    )
    book = BlockBook(lists, journal, organization_id)
    behaviour = BehaviourBook(
        rule=AutoBlock(
            after=settings.auto_block_after,
            window_s=settings.auto_block_window_minutes * 60,
            duration_s=settings.auto_block_minutes * 60,
        ),
        blocks=blocks,
        book=book,
        alerts=alerts,
        process_id=process_id,
    )
    windows = _windows(settings, journal, organization_id)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(windows.close)
        await stack.enter_async_context(journal.writing())
        await stack.enter_async_context(rules.kept(bus, limit_storage.CHANGED_CHANNEL))
        await stack.enter_async_context(lists.kept(bus, block_storage.CHANGED_CHANNEL))
        await stack.enter_async_context(behaviour.shared(bus))
        limiter = Limiter(rules, windows, journal)
        yield Limiting(limits, limiter, blocks, book, behaviour, Admittance(book, limiter, behaviour))


def _windows(settings: Settings, journal: RefusalJournal, organization_id: UUID) -> Windows:
    if settings.valkey_url is None:
        return MemoryWindows()

    closed = settings.rate_limits_when_away == "closed"
    action = "refused" if closed else "counted_alone"

    def away(reason: str) -> None:
        journal.note(Refusal(organization_id, "valkey_away", "valkey", reason, action=action))

    return GuardedWindows(ValkeyWindows(settings.valkey_url.get_secret_value()), closed=closed, on_away=away)
