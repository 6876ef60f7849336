"""Whatever sequence of steps, crashes and repetitions: the totals of the ledger agree."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from customhouse.contracts.errors import Conflict, ErrorRecord
from customhouse.contracts.invocation import AttemptStatus, InvocationStatus
from customhouse.storage.ledger import Ledger
from customhouse.storage.statements import Statements
from tests.storage.ledger_cases import a_record, an_outcome, cleared, opened

_SETTLED = [AttemptStatus.SUCCEEDED, AttemptStatus.FAILED, AttemptStatus.CANCELLED]

ATTEMPT = st.integers(1, 4)
COST = st.one_of(st.none(), st.integers(0, 10**6).map(lambda units: Decimal(units) / 10**10))

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("open")),
        st.tuples(st.just("settle"), ATTEMPT, st.sampled_from(_SETTLED), COST),
        st.tuples(st.just("finish"), ATTEMPT, st.sampled_from(_SETTLED), COST),
        st.tuples(st.just("end without an answer")),
        st.tuples(st.just("abandon")),
    ),
    min_size=1,
    max_size=12,
)

_AGREE = text(
    """
    SELECT i.finished_at IS NOT NULL AS ended, i.usd_cost AS total, CAST(i.result->>'usd_cost' AS numeric) AS recorded,
        CAST(i.result->>'attempts' AS int) AS counted, i.tokens_input,
        (SELECT count(*) FROM attempts a WHERE a.invocation_id = i.id) AS attempts,
        (SELECT count(*) FROM attempts a WHERE a.invocation_id = i.id AND a.status = 'started') AS open,
        (SELECT sum(usd_cost) FROM attempts a WHERE a.invocation_id = i.id) AS attempts_usd,
        (SELECT sum(tokens_input) FROM attempts a WHERE a.invocation_id = i.id) AS attempts_tokens,
        (SELECT count(*) FROM model_cost_logs m WHERE m.invocation_id = i.id) AS costs,
        (SELECT count(DISTINCT attempt_number) FROM model_cost_logs m WHERE m.invocation_id = i.id) AS distinct_costs,
        (SELECT sum(usd_cost) FROM model_cost_logs m WHERE m.invocation_id = i.id) AS costs_usd
    FROM invocations i WHERE i.id = :id
    """
)


@pytest.fixture(scope="module")
async def ledger(storage_url: str) -> AsyncIterator[Ledger]:
    async with Statements(storage_url, size=2, application_name="customhouse-test") as statements:
        yield Ledger(statements)


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS)
async def test_totals_agree(
    engine: AsyncEngine, ledger: Ledger, organization: UUID, steps: list[tuple[Any, ...]]
) -> None:
    invocation, decision = await cleared(ledger, organization)
    made = 0
    for step in steps:
        match step:
            case ("open",):
                with suppress(Conflict):  # it has ended
                    made = max(made, await opened(ledger, invocation, after_attempt=made))
            case ("settle", number, status, cost) if number <= made:
                await ledger.settle(invocation, an_outcome(number, status, usd_cost=cost))
            case ("finish", number, status, cost) if number <= made:
                ending = InvocationStatus.COMPLETED if status is AttemptStatus.SUCCEEDED else InvocationStatus.FAILED
                record = a_record(invocation, decision, an_outcome(number, status, usd_cost=cost), ending)
                with suppress(Conflict):  # given up for lost before: then its end is not the invocation's
                    await ledger.finish(*record, [], elapsed_ms=1, notify=False)
            case ("end without an answer",):
                record = a_record(invocation, decision, None, InvocationStatus.FAILED)
                await ledger.finish(*record, [], elapsed_ms=1, notify=False)
            case ("abandon",):
                error = ErrorRecord(code="gone", message="Gone.", status=502)
                await ledger.abandon(organization, invocation.invocation_id, error)
            case _:
                continue
        async with engine.connect() as connection:
            row = (await connection.execute(_AGREE, {"id": invocation.invocation_id})).one()
        assert row.costs == row.distinct_costs == row.attempts - row.open, (step, row)
        assert row.costs_usd == row.attempts_usd, (step, row)
        if row.ended and row.open == 0:
            assert row.total == row.recorded == row.attempts_usd, (step, row)
            assert (row.counted or 0) == row.attempts, (step, row)
            assert (row.tokens_input or 0) == (row.attempts_tokens or 0), (step, row)
