"""The servers that tests share: one Postgres and one Temporal a run, started only when a test asks for them.

They live in a temporary folder on free ports, so that runs go side by side, and they die with the test process, however
it ends (see `workers/embedded/launch.py`).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import psycopg

from customhouse.storage.migrate import upgrade
from workers.embedded.ports import free_port
from workers.embedded.postgres import Postgres
from workers.embedded.temporal import TemporalServer
from workers.embedded.valkey import Valkey

TEMPLATE = "customhouse_template"

THROWN_AWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "64MB"}
"""A test's data need not survive a power cut. What a transaction means is unchanged."""


@asynccontextmanager
async def running_postgres() -> AsyncIterator[Postgres]:
    """A cluster with a migrated template database."""
    folder = Path(tempfile.mkdtemp(prefix="ch-pg-"))
    postgres = Postgres(folder / "data", folder / "run", folder / "postgres.log", THROWN_AWAY)
    try:
        await postgres.start()
        await postgres.create_database(TEMPLATE)
        upgrade(postgres.url(TEMPLATE))
        yield postgres
    finally:
        await postgres.stop()
        shutil.rmtree(folder)


@asynccontextmanager
async def running_temporal() -> AsyncIterator[TemporalServer]:
    folder = Path(tempfile.mkdtemp(prefix="ch-temporal-"))
    server = TemporalServer(folder, folder / "temporal.log", port=free_port())
    try:
        await server.start()
        yield server
    finally:
        await server.stop()
        shutil.rmtree(folder)


@asynccontextmanager
async def running_valkey() -> AsyncIterator[Valkey]:
    folder = Path(tempfile.mkdtemp(prefix="ch-valkey-"))
    server = Valkey(folder, folder / "valkey.log", port=free_port())
    try:
        await server.start()
        yield server
    finally:
        await server.stop()
        shutil.rmtree(folder)


@asynccontextmanager
async def fresh_database(postgres: Postgres) -> AsyncIterator[str]:
    """URL of a migrated database of one test's own; dropped afterwards, open connections or not."""
    name = f"test_{uuid4().hex}"
    await postgres.create_database(name, template=TEMPLATE)
    yield postgres.url(name)
    async with await psycopg.AsyncConnection.connect(postgres.dsn(), autocommit=True) as connection:
        await connection.execute(psycopg.sql.SQL("DROP DATABASE {} WITH (FORCE)").format(psycopg.sql.Identifier(name)))
