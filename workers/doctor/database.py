"""Probe of Postgres: reached, recent enough, migrated, with pgvector, writable, and with the same clock as ours."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import psycopg
from sqlalchemy.exc import SQLAlchemyError

from customhouse.contracts.errors import CustomhouseError
from customhouse.storage.engine import libpq_url, shown_url
from customhouse.storage.ids import new_id
from customhouse.storage.migrate import current_and_head
from workers.doctor.finding import Finding, ok, warning, wrong

PART = "database"
OLDEST_SERVER = 16
CLOCK_TOLERANCE_S = 2.0
"""Ids, expiries and time filters compare this machine's clock with the database's."""


async def probe_database(url: str) -> list[Finding]:
    try:
        return await asyncio.to_thread(_probe, url)
    except CustomhouseError as error:
        return [wrong(PART, error.message)]
    except (psycopg.Error, SQLAlchemyError) as error:
        return [
            wrong(
                PART,
                f"{shown_url(url)}: {str(error).strip()}",
                "Start Postgres, or correct CUSTOMHOUSE_DATABASE_URL and what its user may do.",
            )
        ]


def _probe(url: str) -> list[Finding]:
    current, head = current_and_head(url)
    with psycopg.connect(libpq_url(url), connect_timeout=5) as connection:
        before = datetime.now(UTC)
        row = connection.execute("SELECT clock_timestamp(), current_setting('server_version_num')::int").fetchone()
        middle = before + (datetime.now(UTC) - before) / 2
        if row is None:
            return [wrong(PART, "Postgres answers without a row", "Is this really a Postgres server?")]
        findings = [_clock((row[0] - middle).total_seconds())]
        version = row[1] // 10_000
        if version < OLDEST_SERVER:
            findings.append(wrong(PART, f"Postgres {version} at {shown_url(url)}", f"Use {OLDEST_SERVER} or later."))
        if current != head:
            findings.append(
                wrong(PART, f"the schema is at {current or 'nothing'}, not at {head}", "Run `customhouse migrate`.")
            )
            return findings
        vector = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()
        if vector is None:
            findings.append(wrong(PART, "pgvector is missing", "As a superuser: CREATE EXTENSION vector."))
        connection.execute("INSERT INTO organizations (id, name) VALUES (%s, %s)", [new_id(), f"doctor-{new_id()}"])
        connection.rollback()
    if vector is None or version < OLDEST_SERVER:
        return findings
    what = f"Postgres {version} with pgvector {vector[0]}, schema {current}, writable, at {shown_url(url)}"
    return [ok(PART, what), *findings]


def _clock(skew_s: float) -> Finding:
    if abs(skew_s) > CLOCK_TOLERANCE_S:
        mend = "Synchronize both clocks (NTP)."
        return warning("clock", f"the database's clock differs from this machine's by {skew_s:+.1f} s", mend)
    return ok("clock", f"within {CLOCK_TOLERANCE_S:.0f} s of the database's")
