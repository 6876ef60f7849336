"""Brings a database to the schema of this version: Alembic, from the installed package, one process at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, NullPool, text
from sqlalchemy import create_engine as create_sync_engine
from sqlalchemy.exc import DBAPIError

from customhouse.contracts.errors import ConfigurationError, NotReady
from customhouse.contracts.timing import LOCK_TIMEOUT
from customhouse.storage.engine import connect_args, is_connection_failure, parse_url, shown_url

_LOCK_KEY = 0x4355_5354_4F4D
"""Advisory lock that one migrating process holds ("CUSTOM" in ASCII); any constant that no other program uses."""

_PARTITION = re.compile(r"_(default|y\d{4}m\d{2}|p\d{2})$")

_NO_EXTENSION = frozenset({"0A000", "58P01", "42501"})
"""What CREATE EXTENSION says where pgvector is not installed, or where this user may not create it."""

_LOCKED = "55P03"
"""`lock_timeout` passed."""


def upgrade(database_url: str) -> None:
    """Bring the database to head; quick where it is there already, and safe to run in several processes at once.

    Raises NotReady where Postgres cannot be reached, ConfigurationError where the database cannot be migrated.
    """
    with _connection(database_url) as connection:
        script = _script()
        if _current(connection) == script.get_current_head():
            return
        # The wait for another migration may be long; `lock_timeout` must not end it. Held until the connection closes.
        connection.execute(text("SET lock_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK_KEY})
        connection.execute(text("RESET lock_timeout"))
        connection.commit()
        if _current(connection) != script.get_current_head():
            command.upgrade(_config(connection), "head")


def downgrade(database_url: str, revision: str = "base") -> None:
    """Take the database back to `revision`. Drops what later revisions made, with its data."""
    with _connection(database_url) as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK_KEY})
        connection.commit()
        command.downgrade(_config(connection), revision)


def current_and_head(database_url: str) -> tuple[str | None, str | None]:
    """The revision that the database is at (None: not migrated), and the one that this version wants."""
    with _connection(database_url) as connection:
        return _current(connection), _script().get_current_head()


def migration_engine(database_url: str) -> Engine:
    """One connection at a time; statements are not timed, since building an index may take long."""
    return create_sync_engine(
        parse_url(database_url),
        poolclass=NullPool,
        connect_args=connect_args("customhouse-migrate", statement_timeout=timedelta(0)),
    )


def include_name(name: str | None, kind: str, parents: Mapping[Any, str | None]) -> bool:
    """Alembic's filter: partitions come and go by the month (`partitions.py`), so no migration speaks of them."""
    table = name if kind == "table" else parents.get("table_name")
    return not (table and _PARTITION.search(table))


@contextmanager
def _connection(database_url: str) -> Iterator[Connection]:
    try:
        with migration_engine(database_url).connect() as connection:
            yield connection
    except DBAPIError as error:
        reason = str(error.orig).strip()
        if is_connection_failure(error):
            raise NotReady(
                f"Postgres at {shown_url(database_url)} cannot be reached: {reason}. "
                "Start it, or correct the database URL."
            ) from error
        sqlstate = getattr(error.orig, "sqlstate", None)
        if sqlstate == _LOCKED:
            raise NotReady(
                f"A table of {shown_url(database_url)} stayed locked by other sessions for "
                f"{LOCK_TIMEOUT.total_seconds():g} s, so nothing was migrated. Try again, or end what holds it "
                "(pg_stat_activity shows it)."
            ) from error
        if sqlstate in _NO_EXTENSION and "extension" in str(error.statement).lower():
            raise ConfigurationError(
                f"Postgres at {shown_url(database_url)} cannot create the extension `vector`: {reason}. Install "
                "pgvector on the server, or let a superuser run CREATE EXTENSION vector in this database."
            ) from error
        raise
    except CommandError as error:
        raise ConfigurationError(
            f"The database at {shown_url(database_url)} cannot be migrated: {error}. If a newer version of Customhouse "
            "migrated it, run that version."
        ) from error


def _config(connection: Connection | None = None) -> Config:
    spec = find_spec("migrations")
    if spec is None or spec.origin is None:
        raise ConfigurationError(
            "The package `migrations` is not installed beside `customhouse`. Install Customhouse again."
        )
    config = Config()
    config.set_main_option("script_location", str(Path(spec.origin).parent).replace("%", "%%"))
    if connection is not None:
        config.attributes["connection"] = connection
    return config


def _script() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _current(connection: Connection) -> str | None:
    revision = MigrationContext.configure(connection).get_current_revision()
    connection.rollback()
    return revision
