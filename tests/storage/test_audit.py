from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from customhouse.storage import audit
from customhouse.storage.audit import AuditHead, ProblemKind, VerifyReport
from customhouse.storage.engine import in_transaction
from customhouse.storage.models import AuditLog


async def add(engine: AsyncEngine, organization: UUID, **details: Any) -> AuditHead:
    async def work(connection: AsyncConnection) -> AuditHead:
        return await audit.append(
            connection, organization, actor="ann", action="policy.published", target="p", details=details
        )

    return await in_transaction(engine, work)


async def check(engine: AsyncEngine, organization: UUID, head: AuditHead | None = None) -> VerifyReport:
    async with engine.connect() as connection:
        return await audit.verify(connection, organization, expected_head=head)


async def tamper(engine: AsyncEngine, statement: Any) -> None:
    async with engine.begin() as connection:
        await connection.execute(statement)


def kinds(report: VerifyReport) -> list[tuple[int, ProblemKind]]:
    return [(problem.sequence, problem.kind) for problem in report.problems]


@pytest.fixture
async def chain(engine: AsyncEngine, organization: UUID) -> UUID:
    """An organization with six rows: its own creation, and five more."""
    for number in range(5):
        await add(engine, organization, number=number)
    return organization


async def test_a_chain_that_nobody_touched_is_sound(engine: AsyncEngine, chain: UUID) -> None:
    report = await check(engine, chain)
    assert report.is_sound
    assert report.entries == 6
    assert report.head is not None
    assert report.head.sequence == 6
    assert (await check(engine, chain, report.head)).is_sound


async def test_an_empty_chain_is_sound(engine: AsyncEngine, organization: UUID) -> None:
    await tamper(engine, delete(AuditLog).where(AuditLog.organization_id == organization))
    report = await check(engine, organization)
    assert report.is_sound
    assert report.head is None


async def test_many_writers_leave_no_gap_and_other_chains_alone(
    engine: AsyncEngine, organization: UUID, stranger: UUID
) -> None:
    await asyncio.gather(*(add(engine, org, n=n) for n in range(20) for org in (organization, stranger)))
    for org in (organization, stranger):
        report = await check(engine, org)
        assert report.is_sound
        assert report.entries == 21


async def test_a_change_that_is_rolled_back_leaves_no_row(engine: AsyncEngine, chain: UUID) -> None:
    async with engine.connect() as connection:
        await audit.append(connection, chain, actor="ann", action="a", target="t")
        await connection.rollback()
    await add(engine, chain)
    report = await check(engine, chain)
    assert report.is_sound
    assert report.entries == 7


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("actor", "mallory"),
        ("action", "nothing"),
        ("target", "q"),
        ("policy", "p"),
        ("event_type", "e"),
        ("details", {"number": 7}),
        ("created_at", text("created_at + interval '1 microsecond'")),
        ("hash", b"x" * 32),
    ],
)
async def test_an_edit_is_found_where_it_happened(engine: AsyncEngine, chain: UUID, column: str, value: Any) -> None:
    await tamper(
        engine,
        update(AuditLog).where(AuditLog.organization_id == chain, AuditLog.sequence == 3).values({column: value}),
    )
    assert (3, ProblemKind.EDITED) in kinds(await check(engine, chain))


async def test_an_edit_with_a_fitting_hash_breaks_the_link_after_it(engine: AsyncEngine, chain: UUID) -> None:
    async with engine.begin() as connection:
        row = (
            await connection.execute(
                select(AuditLog.__table__).where(AuditLog.organization_id == chain, AuditLog.sequence == 3)
            )
        ).one()
        forged = {**row._asdict(), "actor": "mallory"}
        digest = audit._digest(row.previous_hash, forged)
        await connection.execute(
            update(AuditLog)
            .where(AuditLog.organization_id == chain, AuditLog.sequence == 3)
            .values(actor="mallory", hash=digest)
        )
    assert kinds(await check(engine, chain)) == [(4, ProblemKind.UNLINKED)]


@pytest.mark.parametrize("gone", [1, 3])
async def test_a_deletion_is_found(engine: AsyncEngine, chain: UUID, gone: int) -> None:
    await tamper(engine, delete(AuditLog).where(AuditLog.organization_id == chain, AuditLog.sequence == gone))
    assert kinds(await check(engine, chain)) == [(gone + 1, ProblemKind.MISSING)]


async def test_a_deletion_closed_up_by_renumbering_is_found(engine: AsyncEngine, chain: UUID) -> None:
    await tamper(engine, delete(AuditLog).where(AuditLog.organization_id == chain, AuditLog.sequence == 3))
    for sequence in (4, 5, 6):
        await tamper(
            engine,
            update(AuditLog)
            .where(AuditLog.organization_id == chain, AuditLog.sequence == sequence)
            .values(sequence=sequence - 1),
        )
    found = kinds(await check(engine, chain))
    assert (3, ProblemKind.UNLINKED) in found
    assert (3, ProblemKind.EDITED) in found


async def test_a_change_of_order_is_found(engine: AsyncEngine, chain: UUID) -> None:
    for old, new in ((3, 100), (4, 3), (100, 4)):
        await tamper(
            engine,
            update(AuditLog).where(AuditLog.organization_id == chain, AuditLog.sequence == old).values(sequence=new),
        )
    assert {sequence for sequence, _ in kinds(await check(engine, chain))} == {3, 4, 5}


async def test_cut_off_last_rows_show_only_against_a_noted_head(engine: AsyncEngine, chain: UUID) -> None:
    head = (await check(engine, chain)).head
    await tamper(engine, delete(AuditLog).where(AuditLog.organization_id == chain, AuditLog.sequence >= 5))
    assert (await check(engine, chain)).is_sound
    assert kinds(await check(engine, chain, head)) == [(6, ProblemKind.HEAD_LOST)]
    for _ in range(3):  # written over: the noted place is taken again, by another row
        await add(engine, chain)
    assert kinds(await check(engine, chain, head)) == [(6, ProblemKind.HEAD_LOST)]


async def test_one_organization_s_row_does_not_fit_another_s_chain(
    engine: AsyncEngine, chain: UUID, stranger: UUID
) -> None:
    await tamper(engine, delete(AuditLog).where(AuditLog.organization_id == stranger))
    await tamper(
        engine,
        update(AuditLog)
        .where(AuditLog.organization_id == chain, AuditLog.sequence == 1)
        .values(organization_id=stranger),
    )
    assert (1, ProblemKind.EDITED) in kinds(await check(engine, stranger))


async def test_a_report_names_at_most_a_hundred_problems_and_counts_all(engine: AsyncEngine, chain: UUID) -> None:
    await tamper(
        engine,
        text(
            "INSERT INTO audit_logs (id, organization_id, sequence, actor, action, target, previous_hash, hash) "
            "SELECT gen_random_uuid(), :org, 6 + n, 'm', 'm', 'm', '', '' FROM generate_series(1, 1500) n"
        ).bindparams(org=chain),
    )
    report = await check(engine, chain)
    assert report.entries == 1506
    assert len(report.problems) == 100
    assert report.problem_count > 1500


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"))
    | st.decimals(allow_nan=False, allow_infinity=False, places=10, min_value=0, max_value=10**6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(details=st.dictionaries(st.text(st.characters(codec="utf-8")), json_values, max_size=4))
async def test_whatever_details_are_given_the_chain_stays_sound(
    engine: AsyncEngine, organization: UUID, details: dict[str, Any]
) -> None:
    async with engine.begin() as connection:
        await audit.append(connection, organization, actor="ann", action="a", target="t", details=details)
    assert (await check(engine, organization)).is_sound
