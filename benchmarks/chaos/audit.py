"""Reads the ledger after all is over and compares it with itself and with what the provider has seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.rows import dict_row


@dataclass(frozen=True, slots=True)
class Audit:
    """What the ledger says."""

    invocations: int
    unfinished: int
    """Accepted, and neither answered nor failed."""
    completed_without_answer: int
    """Told to be answered, and the answer is nowhere."""
    attempts: int
    settled_attempts: int
    """With an outcome that is known: succeeded, failed or cancelled."""
    unknown_attempts: int
    """Closed after a crash, with an estimate."""
    open_attempts: int
    """Started, and never settled."""
    billed_twice: int
    """Invocations with more than one answer paid for. None here is asked to repair an answer."""
    attempts_without_one_cost_row: int
    cost_rows_without_attempt: int
    drift_usd: Decimal
    """Sum over the invocations of how far cost rows, attempts and the invocation's own total are apart."""
    provider_calls: int
    calls_beyond_settled: int
    """Provider calls beyond one a settled attempt: what the crashes cost."""
    calls_without_attempt: int
    """Provider calls beyond one an attempt: spent, and nowhere accounted for."""


_LEDGER = """
    SELECT i.idempotency_key AS key, i.status IN ('accepted', 'running') AS unfinished,
        i.status = 'completed' AND coalesce(a.answers, 0) = 0 AS unanswered,
        coalesce(a.attempts, 0) AS attempts, coalesce(a.settled, 0) AS settled, coalesce(a.unknown, 0) AS unknown,
        coalesce(a.open, 0) AS open, coalesce(a.succeeded, 0) AS succeeded,
        greatest(coalesce(i.usd_cost, 0), coalesce(a.usd_cost, 0), coalesce(c.usd_cost, 0))
            - least(coalesce(i.usd_cost, 0), coalesce(a.usd_cost, 0), coalesce(c.usd_cost, 0)) AS drift
    FROM invocations i
    LEFT JOIN (
        SELECT invocation_id, count(*) AS attempts, sum(usd_cost) AS usd_cost,
            count(*) FILTER (WHERE status IN ('succeeded', 'failed', 'cancelled')) AS settled,
            count(*) FILTER (WHERE status = 'unknown') AS unknown,
            count(*) FILTER (WHERE status = 'started') AS open,
            count(*) FILTER (WHERE status = 'succeeded') AS succeeded,
            count(*) FILTER (WHERE status = 'succeeded' AND (
                answer IS NOT NULL OR jsonb_typeof(outcome->'answer_ref') = 'object')) AS answers
        FROM attempts GROUP BY invocation_id
    ) a ON a.invocation_id = i.id
    LEFT JOIN (
        SELECT invocation_id, sum(usd_cost) AS usd_cost FROM model_cost_logs GROUP BY invocation_id
    ) c ON c.invocation_id = i.id
"""

_COST_ROWS = """
    SELECT count(*) FILTER (WHERE a.invocation_id IS NOT NULL AND a.status <> 'started' AND coalesce(c.rows, 0) <> 1)
            AS without_one,
        count(*) FILTER (WHERE a.invocation_id IS NULL) AS without_attempt
    FROM attempts a
    FULL JOIN (
        SELECT invocation_id, attempt_number, count(*) AS rows FROM model_cost_logs GROUP BY 1, 2
    ) c ON c.invocation_id = a.invocation_id AND c.attempt_number = a.number
"""


async def audit(dsn: str, calls: Mapping[str, int]) -> Audit:
    """`calls`: what the provider has seen, by idempotency key."""
    async with await psycopg.AsyncConnection.connect(dsn, row_factory=dict_row) as connection:
        ledger = await (await connection.execute(_LEDGER)).fetchall()
        cost_rows = await (await connection.execute(_COST_ROWS)).fetchone()
    by_key = {row["key"]: row for row in ledger}
    return Audit(
        invocations=len(ledger),
        unfinished=_sum(ledger, "unfinished"),
        completed_without_answer=_sum(ledger, "unanswered"),
        attempts=_sum(ledger, "attempts"),
        settled_attempts=_sum(ledger, "settled"),
        unknown_attempts=_sum(ledger, "unknown"),
        open_attempts=_sum(ledger, "open"),
        billed_twice=sum(row["succeeded"] > 1 for row in ledger),
        attempts_without_one_cost_row=0 if cost_rows is None else cost_rows["without_one"],
        cost_rows_without_attempt=0 if cost_rows is None else cost_rows["without_attempt"],
        drift_usd=sum((row["drift"] for row in ledger), Decimal(0)),
        provider_calls=sum(calls.values()),
        calls_beyond_settled=_beyond(calls, by_key, "settled"),
        calls_without_attempt=_beyond(calls, by_key, "attempts"),
    )


def _sum(rows: list[dict[str, Any]], column: str) -> int:
    return sum(int(row[column]) for row in rows)


def _beyond(calls: Mapping[str, int], rows: Mapping[str, dict[str, Any]], column: str) -> int:
    return sum(max(0, seen - (int(rows[key][column]) if key in rows else 0)) for key, seen in calls.items())
