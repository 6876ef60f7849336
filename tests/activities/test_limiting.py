"""The parts that limit calls, each with what it stands on made by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from activities import refusal_journal
from activities.admittance import Admittance
from activities.behaviour import BehaviourBook
from activities.block_book import BlockBook
from activities.limiter import NO_LIMITS, Limiter
from activities.refusal_journal import Refusal, RefusalJournal
from activities.rule_book import RuleBook
from customhouse.contracts.alerts import Alert
from customhouse.contracts.chat import ChatRequest, Usage
from customhouse.contracts.errors import Blocked, NotReady, RateLimited
from customhouse.contracts.governance import Verdict
from customhouse.contracts.invocation import Caller, InvocationInput, InvocationResult, InvocationStatus
from customhouse.contracts.rate_limits import BlockEffect, BlockKind, BlockRule, LimitMetric, LimitRule, LimitScope
from customhouse.governance.limits.behaviour import AutoBlock
from customhouse.governance.limits.blocks import BlockList
from customhouse.governance.limits.networks import parse_address
from customhouse.governance.limits.rules import Rules
from customhouse.integrations.rate_limits import MemoryWindows
from customhouse.storage.blocks import Blocks
from customhouse.storage.bus import Bus
from customhouse.storage.engine import create_engine
from customhouse.storage.governance_events import EventRow
from customhouse.storage.limits import CHANGED_CHANNEL, Limits
from customhouse.storage.organizations import Organizations
from tests.doubles.house import until

ORGANIZATION = UUID(int=1)
OWN = UUID(int=2)
USED = Usage(prompt_tokens=30, completion_tokens=10, total_tokens=40)


def journal(rows: list[EventRow] | None = None) -> RefusalJournal:
    async def write(written: Sequence[EventRow]) -> None:
        (rows if rows is not None else []).extend(written)

    return RefusalJournal(write)


async def book_of(rules: Mapping[UUID, Sequence[Any]], lay_out: Any) -> RuleBook[Any, Any]:
    async def read(organization_id: UUID) -> Sequence[Any]:
        return rules.get(organization_id, ())

    async def read_all() -> Mapping[UUID, Sequence[Any]]:
        return rules

    book = RuleBook[Any, Any](lay_out, read, read_all)
    await book._refresh_all()
    return book


def rule(metric: str = "requests", amount: str = "2", scope: str = "user") -> LimitRule:
    return LimitRule(scope=LimitScope(scope), metric=LimitMetric(metric), amount=Decimal(amount), window_s=60)


async def limiter(*rules: LimitRule, rows: list[EventRow] | None = None) -> Limiter:
    return Limiter(await book_of({ORGANIZATION: rules}, Rules), MemoryWindows(), journal(rows))


def caller(**known: Any) -> Caller:
    return Caller(**{"organization_id": ORGANIZATION, "user_id": "u", **known})


class TestLimiter:
    async def test_without_limits_nothing_is_counted_or_shown(self) -> None:
        limits = await limiter(rule())
        assert await limits.admit(caller(organization_id=uuid4()), 10) is NO_LIMITS
        assert await limits.admit(caller(user_id=None), 10) is NO_LIMITS

    async def test_past_the_limit_calls_are_refused(self) -> None:
        limits = await limiter(rule())
        first = await limits.admit(caller(), 10)
        assert first.headers["x-ratelimit-remaining-requests"] == "1"
        await limits.admit(caller(), 10)
        with pytest.raises(RateLimited, match="2 requests in 1m0s for user 'u'") as refused:
            await limits.admit(caller(), 10)
        assert refused.value.retry_after_s is not None
        await limits.admit(caller(user_id="v"), 10)

    async def test_the_address_may_come_with_the_caller_or_beside_it(self) -> None:
        limits = await limiter(rule(scope="ip", amount="1"))
        await limits.admit(caller(ip="192.0.2.1"), 10)
        with pytest.raises(RateLimited, match=r"address '192\.0\.2\.1'"):
            await limits.admit(caller(), 10, ip="::ffff:192.0.2.1")

    async def test_tokens_are_estimated_only_where_they_are_limited(self) -> None:
        def estimate() -> int:
            raise AssertionError("nobody limits tokens")

        await (await limiter(rule())).admit(caller(), estimate)
        with pytest.raises(RateLimited, match="asks for 900 tokens"):
            await (await limiter(rule("tokens", "500"))).admit(caller(), lambda: 900)

    async def test_usage_takes_the_place_of_the_estimate(self) -> None:
        limits = await limiter(rule("tokens", "100"))
        admission = await limits.admit(caller(), 90)
        with pytest.raises(RateLimited):
            await limits.admit(caller(), 50)
        await limits.settle(admission, USED, None)
        second = await limits.admit(caller(), 50)
        assert second.headers["x-ratelimit-remaining-tokens"] == "10"

    async def test_a_call_that_used_nothing_counts_nothing(self) -> None:
        limits = await limiter(rule("tokens", "100"))
        await limits.settle(await limits.admit(caller(), 90), None, None)
        assert (await limits.admit(caller(), 90)).headers["x-ratelimit-remaining-tokens"] == "10"

    async def test_dollars_are_counted_once_they_are_known(self) -> None:
        limits = await limiter(rule("usd", "0.001"))
        first, second = await limits.admit(caller(), 0), await limits.admit(caller(), 0)
        await limits.settle(first, USED, Decimal("0.0004"))
        third = await limits.admit(caller(), 0)
        await limits.settle(second, USED, Decimal("0.0006"))
        with pytest.raises(RateLimited, match=r"0\.001 USD"):
            await limits.admit(caller(), 0)
        await limits.settle(third, USED, None)

    async def test_an_admission_is_held_until_its_invocation_ends(self) -> None:
        limits = await limiter(rule("tokens", "100"))
        invocation = uuid4()
        limits.hold(invocation, await limits.admit(caller(), 90))
        await limits.settle_held(invocation, USED, None)
        await limits.settle_held(invocation, USED, None)  # a step that is repeated
        assert (await limits.admit(caller(), 10)).headers["x-ratelimit-remaining-tokens"] == "50"

    async def test_a_flood_of_refusals_is_one_row(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(refusal_journal, "REFUSALS_TOLD_AFTER", timedelta(milliseconds=20))
        rows: list[EventRow] = []
        limits = await limiter(rule(amount="1"), rows=rows)
        await limits.admit(caller(), 1)
        async with limits._journal.writing():
            for _ in range(200):
                with pytest.raises(RateLimited):
                    await limits.admit(caller(), 1)
            await until(lambda: rows)
            for _ in range(50):
                with pytest.raises(RateLimited):
                    await limits.admit(caller(), 1)
        assert [(row.event_type, row.user_id, row.details["count"]) for row in rows] == [
            ("rate_limited", "u", 200),
            ("rate_limited", "u", 50),
        ]
        assert rows[0].details["subject"] == "user:u"
        assert rows[0].details["rule"] == "1 requests in 60 s"


class TestAdmittance:
    async def admittance(self, *rules: LimitRule, blocked: Sequence[BlockRule] = ()) -> tuple[Admittance, Limiter]:
        limits = await limiter(*rules)
        book = await block_book({ORGANIZATION: blocked} if blocked else {})
        engine = create_engine("postgresql://nobody@127.0.0.1:1/none", pool_size=1, application_name="customhouse-test")
        own = BehaviourBook(rule=AutoBlock(), blocks=Blocks(engine), book=book, alerts=None, process_id="one")
        return Admittance(book, limits, own), limits

    def invocation(self, *, origin: str | None = None, **known: Any) -> InvocationInput:
        return InvocationInput(
            invocation_id=uuid4(),
            caller=caller(**known),
            idempotency_key="k",
            fingerprint="f",
            request=ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "Hello."}]}),
            model="m",
            origin=origin,
            accepted_at=0.0,
        )

    async def test_what_came_by_temporal_is_asked_for_and_once(self) -> None:
        part, _ = await self.admittance(rule(amount="1"))
        first = self.invocation()
        await part.admit(first, 10)
        await part.admit(first, 10)  # `clear` runs again, after Postgres was away
        with pytest.raises(RateLimited):
            await part.admit(self.invocation(), 10)
        await part.admit(self.invocation(origin="an API process, which has asked"), 10)

    async def test_a_blocked_user_gets_in_by_no_door(self) -> None:
        part, _ = await self.admittance(blocked=[entry("user", "u")])
        with pytest.raises(Blocked):
            await part.admit(self.invocation(), 10)

    async def test_tokens_are_settled_at_the_recorded_end(self) -> None:
        part, limits = await self.admittance(rule("tokens", "100"))
        invocation = self.invocation()
        await part.admit(invocation, 90)
        result = InvocationResult(
            invocation_id=invocation.invocation_id,
            organization_id=ORGANIZATION,
            trace_id="t",
            status=InvocationStatus.COMPLETED,
            verdict=Verdict.ALLOW,
            policy_version="p",
            usage=USED,
        )
        await part.settle(result)
        await part.settle(result)
        assert (await limits.admit(caller(), 10)).headers["x-ratelimit-remaining-tokens"] == "50"

    async def test_it_scores_what_it_was_told(self) -> None:
        part, _ = await self.admittance()
        part.note(caller(), Verdict.BLOCK, 0.99)
        assert part.score(caller()) > 0.1


class TestJournal:
    async def test_what_cannot_be_written_is_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(refusal_journal, "REFUSALS_TOLD_AFTER", timedelta(milliseconds=5))
        rows: list[EventRow] = []
        away = True

        async def write(written: Sequence[EventRow]) -> None:
            if away:
                raise NotReady("Postgres is away")
            rows.extend(written)

        kept = RefusalJournal(write)
        async with kept.writing():
            kept.note(Refusal(ORGANIZATION, "caller_blocked", "ip:192.0.2.1"))
            await asyncio.sleep(0.05)
            assert rows == []
            away = False
            await until(lambda: rows)
        assert [row.details["count"] for row in rows] == [1]

    async def test_a_flood_of_kinds_stays_small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(refusal_journal, "MOST_KINDS", 10)
        rows: list[EventRow] = []
        kept = journal(rows)
        async with kept.writing():
            for number in range(500):
                kept.note(Refusal(ORGANIZATION, "rate_limited", f"user:{number}"))
        assert len(rows) == 11
        assert sum(row.details["count"] for row in rows) == 500
        assert {row.details["subject"]: row.details["count"] for row in rows}["others"] == 490


def entry(kind: str, subject: str, effect: str = "deny", **more: Any) -> BlockRule:
    return BlockRule(
        id=uuid4(), effect=BlockEffect(effect), kind=BlockKind(kind), subject=subject, reason="a test", **more
    )


async def block_book(rules: Mapping[UUID, Sequence[BlockRule]], rows: list[EventRow] | None = None) -> BlockBook:
    return BlockBook(await book_of(rules, lambda _, entries: BlockList(entries)), journal(rows), OWN)


class TestBlockBook:
    async def test_the_installations_own_addresses_hold_for_everyone(self) -> None:
        book = await block_book({OWN: [entry("ip", "192.0.2.0/24")], ORGANIZATION: [entry("ip", "198.51.100.0/24")]})
        with pytest.raises(Blocked):
            book.check_address(parse_address("192.0.2.1"))
        book.check_address(parse_address("198.51.100.1"))
        with pytest.raises(Blocked):
            book.check_key(ORGANIZATION, uuid4(), parse_address("198.51.100.1"))
        book.check_key(uuid4(), uuid4(), parse_address("198.51.100.1"))

    async def test_a_list_of_the_installations_own_is_only_its_own(self) -> None:
        book = await block_book({OWN: [entry("ip", "192.0.2.0/24", "only"), entry("key", str(uuid4()), "only")]})
        book.check_address(parse_address("198.51.100.1"))
        book.check_key(ORGANIZATION, uuid4(), parse_address("198.51.100.1"))
        with pytest.raises(Blocked):
            book.check_key(OWN, uuid4(), parse_address("198.51.100.1"))

    async def test_users_and_agents_are_looked_at_once_they_are_known(self) -> None:
        book = await block_book({ORGANIZATION: [entry("agent", "a"), entry("user", "u", network="192.0.2.1")]})
        book.check_key(ORGANIZATION, uuid4(), parse_address("192.0.2.1"))
        book.check_caller(caller())
        for refused in (caller(agent_id="a"), caller(ip="192.0.2.1")):
            with pytest.raises(Blocked):
                book.check_caller(refused)

    async def test_who_is_refused_leaves_an_event(self) -> None:
        rows: list[EventRow] = []
        denied = entry("user", "u")
        book = await block_book({ORGANIZATION: [denied]}, rows)
        async with book._journal.writing():
            with pytest.raises(Blocked):
                book.check_caller(caller())
        (row,) = rows
        assert (row.event_type, row.user_id) == ("caller_blocked", "u")
        assert row.details["rule"] == f"block {denied.id}"


async def test_a_changed_rule_holds_within_two_seconds(database_url: str) -> None:
    """In a process that listens, whoever changes it; `until` would give up after that long."""
    engine = create_engine(database_url, pool_size=2, application_name="customhouse-test")
    stored = Limits(engine)
    organization = (await Organizations(engine).ensure("acme", actor="test")).id
    book = RuleBook[LimitRule, Rules](Rules, stored.list_all, stored.of_every_organization)
    first = await stored.put(organization, rule(), actor="test")
    async with Bus(database_url) as bus, book.kept(bus, CHANGED_CHANNEL):
        assert book.of(organization) is not None
        await stored.remove(organization, first.id, actor="test")
        await until(lambda: book.of(organization) is None, deadline_s=2)
        await stored.put(organization, rule(), actor="test")
        await until(lambda: book.of(organization) is not None, deadline_s=2)
    await engine.dispose()


async def test_rules_are_read_again_after_postgres_was_away() -> None:
    """What cannot be read is tried again, and the rules that stand hold meanwhile."""
    rules: dict[UUID, list[LimitRule]] = {ORGANIZATION: [rule()]}
    failures = 2

    async def read(organization_id: UUID) -> Sequence[LimitRule]:
        nonlocal failures
        if failures:
            failures -= 1
            raise NotReady("Postgres is away")
        return rules.get(organization_id, [])

    async def read_all() -> Mapping[UUID, Sequence[LimitRule]]:
        return dict(rules)

    class Told(Bus):
        async def subscribe(self, channel: str, on_message: Any, on_gap: Any) -> Any:  # noqa: ARG002
            self.tell = on_message

        def unsubscribe(self, subscription: Any) -> None: ...

    book, bus = RuleBook[LimitRule, Rules](Rules, read, read_all), Told("postgresql://nobody@127.0.0.1:1/none")
    async with book.kept(bus, "limits"):
        rules.clear()
        bus.tell(str(ORGANIZATION))
        assert book.of(ORGANIZATION) is not None
        await until(lambda: book.of(ORGANIZATION) is None)
        assert failures == 0


class Alerts:
    def __init__(self) -> None:
        self.raised: list[Alert] = []

    async def raise_alert(self, alert: Alert) -> None:
        self.raised.append(alert)


@pytest.fixture
async def blocks(database_url: str) -> AsyncIterator[Blocks]:
    engine = create_engine(database_url, pool_size=2, application_name="customhouse-test")
    yield Blocks(engine)
    await engine.dispose()


async def behaviour(
    blocks: Blocks, *, after: int = 10, alerts: Alerts | None = None, rules: Sequence[BlockRule] = (), id_: str = "one"
) -> BehaviourBook:
    book = await block_book({ORGANIZATION: rules} if rules else {})
    return BehaviourBook(rule=AutoBlock(after=after), blocks=blocks, book=book, alerts=alerts, process_id=id_)


class TestBehaviour:
    async def test_a_stranger_scores_nothing(self, blocks: Blocks) -> None:
        assert (await behaviour(blocks)).score(caller(ip="192.0.2.1")) == 0

    async def test_offences_raise_the_score_of_user_key_and_address(self, blocks: Blocks) -> None:
        book, key = await behaviour(blocks), uuid4()
        for _ in range(4):
            book.note(caller(key_id=key), "192.0.2.1", Verdict.BLOCK, 0.99)
        of_user = book.score(caller())
        of_key = book.score(caller(user_id="v", key_id=key))
        of_address = book.score(caller(user_id="w"), "192.0.2.1")
        assert of_user > of_key > 0.3
        assert of_address == pytest.approx(of_key, abs=0.01)
        assert book.score(caller(organization_id=uuid4())) == 0

    async def test_probing_raises_the_score(self, blocks: Blocks) -> None:
        book = await behaviour(blocks)
        for number in range(20):
            book.note(caller(), None, Verdict.ALLOW, 0.4, digest=f"prompt {number}")
            book.note(caller(user_id="v"), None, Verdict.ALLOW, 0.4, digest="the same")
            book.note(caller(user_id="w"), None, Verdict.ALLOW, 0.1, digest=f"prompt {number}")
        assert book.score(caller()) > 0.6
        assert book.score(caller(user_id="v")) < 0.05
        assert book.score(caller(user_id="w")) == 0

    async def test_repeated_abuse_blocks_the_user_where_they_are(self, blocks: Blocks) -> None:
        organization = (await Organizations(blocks._engine).ensure("acme", actor="test")).id
        alerts = Alerts()
        book = await behaviour(blocks, after=3, alerts=alerts)
        offender = caller(organization_id=organization, key_id=uuid4())
        for _ in range(2):
            book.note(offender, "192.0.2.1", Verdict.BLOCK, 0.99)
        await asyncio.sleep(0)
        assert not book._aside
        book.note(offender, "192.0.2.1", Verdict.BLOCK, 0.99)
        await until(lambda: alerts.raised)
        (block,) = await blocks.standing(organization)
        assert (block.kind, block.subject, block.network) == (BlockKind.USER, "u", "192.0.2.1")
        assert block.automatic
        assert block.expires_at is not None
        (alert,) = alerts.raised
        assert alert.subject == "user:u"
        assert str(block.id) in alert.text

    async def test_nobody_is_blocked_who_is_not_known_or_allowed(self, blocks: Blocks) -> None:
        """An organization's key is never blocked by itself, nor who an operator has listed as allowed."""
        book = await behaviour(blocks, after=2, rules=[entry("ip", "192.0.2.1", "allow")])
        for _ in range(5):
            book.note(caller(user_id=None, key_id=uuid4()), "198.51.100.1", Verdict.BLOCK, 0.99)
            book.note(caller(ip="192.0.2.1"), None, Verdict.BLOCK, 0.99)
        assert not book._aside

    async def test_offences_are_known_in_every_process(self, blocks: Blocks, database_url: str) -> None:
        one, two = await behaviour(blocks), await behaviour(blocks, id_="two")
        async with Bus(database_url) as bus, one.shared(bus), two.shared(bus):
            for _ in range(3):
                one.note(caller(), "192.0.2.1", Verdict.BLOCK, 0.99)
            await until(lambda: two.score(caller()) > 0.45)
            assert one.score(caller()) == pytest.approx(two.score(caller()), abs=0.01)
            for number in range(5):
                two.note(caller(user_id="v"), None, Verdict.ALLOW, 0.4, digest=str(number))
            await until(lambda: one.score(caller(user_id="v")) > 0.1)
