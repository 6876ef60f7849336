"""The database engine: SQLAlchemy's async pool on psycopg 3, and what a caller does when Postgres restarts.

Connections are not pinged before use: that is a round trip a call. A connection that Postgres dropped is found out by
the first statement on it, SQLAlchemy then discards the whole pool, and `in_transaction` runs the work again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeVar

import orjson
import psycopg
from psycopg_pool import PoolTimeout as StatementPoolTimeout
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from customhouse.contracts.errors import ConfigurationError, NotReady
from customhouse.contracts.money import plain
from customhouse.contracts.timing import (
    DATABASE_CONNECT_TIMEOUT,
    DATABASE_PATIENCE,
    IDLE_IN_TRANSACTION_TIMEOUT,
    LOCK_TIMEOUT,
    STATEMENT_TIMEOUT,
)

T = TypeVar("T")

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0

_SERVER_AWAY = frozenset({"57P01", "57P02", "57P03", "53300", "53100", "53200", "25006", "25P03"})
"""Shutting down, crashed, starting up, too many connections, disk or memory full, failed over to a read-only standby,
idle too long. Class 08 (connection exception) counts as well. Each may pass without anything being changed here."""

_ATTEMPT_KEYS = frozenset({"pk_attempts", "pk_budget_reservations"})
"""Of an attempt, and of what it holds of a budget, which is written first."""

_LOST_RACE = frozenset({"40001", "40P01", "55P03", "57014"})
"""Serialization failure, deadlock, and our own lock and statement time-outs: undone, and worth another try."""


def parse_url(database_url: str) -> URL:
    """The URL with psycopg 3 as its driver, whatever driver (or none) it names.

    Raises ConfigurationError where it is no Postgres URL; the message never shows the URL, which may bear a password.
    """
    try:
        url = make_url(database_url)
    except ArgumentError as error:
        raise ConfigurationError(
            "The database URL cannot be read. Write it as postgresql://user:password@host:5432/name."
        ) from error
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise ConfigurationError(
            f"The database URL begins with {url.drivername}://, but only Postgres is supported: begin with postgresql://."
        )
    return url.set(drivername="postgresql+psycopg")


def libpq_url(database_url: str) -> str:
    """The same URL for psycopg itself, which knows no SQLAlchemy driver names. Bears the password."""
    return parse_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)


def shown_url(database_url: str) -> str:
    """The same URL for messages: without the password."""
    return parse_url(database_url).set(drivername="postgresql").render_as_string(hide_password=True)


def create_engine(database_url: str, *, pool_size: int, application_name: str) -> AsyncEngine:
    """An engine of at most `pool_size` connections, opened as they are needed. Dispose of it at the end.

    Connection i/o, statements and locks are all bounded (`contracts/timing.py`). Times come back in UTC.
    """
    return create_async_engine(
        parse_url(database_url),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=DATABASE_CONNECT_TIMEOUT.total_seconds(),
        pool_use_lifo=True,
        json_serializer=to_json,
        json_deserializer=orjson.loads,
        connect_args=connect_args(application_name, statement_timeout=STATEMENT_TIMEOUT),
    )


def connect_args(application_name: str, *, statement_timeout: timedelta) -> dict[str, Any]:
    """What every connection of ours is opened with. A statement timeout of zero means none."""
    settings = {
        "timezone": "UTC",
        "statement_timeout": _milliseconds(statement_timeout),
        "lock_timeout": _milliseconds(LOCK_TIMEOUT),
        "idle_in_transaction_session_timeout": _milliseconds(IDLE_IN_TRANSACTION_TIMEOUT),
    }
    return {
        "application_name": application_name,
        "client_encoding": "UTF8",
        "connect_timeout": int(DATABASE_CONNECT_TIMEOUT.total_seconds()),
        "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
        # Without keepalives a host that vanished would hold a waiting reader for hours (the kernel's default is two).
        "keepalives_idle": 30,
        "keepalives_interval": 5,
        "keepalives_count": 3,
    }


def to_json(value: Any) -> bytes:
    """JSON for a `jsonb` column. Its strings cannot hold NUL, which a provider's answer may: U+FFFD stands for it."""
    encoded = orjson.dumps(value, default=_plain)
    if b"\\u0000" in encoded:
        encoded = orjson.dumps(without_nul(orjson.loads(encoded)))
    return encoded


def is_connection_failure(error: BaseException) -> bool:
    """Whether the database could not be reached or dropped the connection: the same work may succeed a little later.

    If it happened at COMMIT the work may have been done already, so work that is tried again must be idempotent.
    """
    if isinstance(error, PoolTimeout | StatementPoolTimeout):
        return True
    if isinstance(error, psycopg.Error):
        return (error.sqlstate is None and isinstance(error, psycopg.OperationalError)) or _is_away(error.sqlstate)
    if not isinstance(error, DBAPIError):
        return False
    sqlstate = _sqlstate(error)
    if sqlstate is None:
        # libpq's own failures (refused, reset, closed) bear no SQLSTATE; nor does a broken connection.
        return error.connection_invalidated or type(error.orig).__name__ in ("OperationalError", "ConnectionTimeout")
    return _is_away(sqlstate)


def is_retryable(error: BaseException) -> bool:
    """A connection failure, or a race that Postgres decided against this transaction."""
    if isinstance(error, psycopg.Error) and (error.sqlstate in _LOST_RACE or _opened_twice(error)):
        return True
    return is_connection_failure(error) or (isinstance(error, DBAPIError) and _sqlstate(error) in _LOST_RACE)


async def in_transaction(
    engine: AsyncEngine,
    work: Callable[[AsyncConnection], Awaitable[T]],
    *,
    patience: timedelta = DATABASE_PATIENCE,
) -> T:
    """Run idempotent `work` in one transaction, and again while Postgres is away, for at most `patience`.

    Raises NotReady when patience is spent, and whatever else `work` raises, unchanged.
    """
    deadline = time.monotonic() + patience.total_seconds()
    pause = _FIRST_PAUSE_S
    while True:
        try:
            async with engine.begin() as connection:
                return await work(connection)
        except (DBAPIError, PoolTimeout) as error:
            if not is_retryable(error):
                raise
            if time.monotonic() + pause > deadline:
                raise NotReady(
                    f"Postgres at {engine.url.render_as_string(hide_password=True)} did not answer for "
                    f"{patience.total_seconds():g} s ({_first_line(error)}). Look whether it runs, then try again.",
                    retry_after_s=_LONGEST_PAUSE_S,
                ) from error
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_S)


def reader(engine: AsyncEngine) -> AsyncEngine:
    """The same pool for single SELECTs: in autocommit, which saves the round trips of BEGIN and ROLLBACK."""
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def _milliseconds(duration: timedelta) -> int:
    return int(duration.total_seconds() * 1000)


def _opened_twice(error: psycopg.Error) -> bool:
    """Two workers opened an invocation's next attempt at once: a second try gives this one the number after it."""
    return isinstance(error, psycopg.errors.UniqueViolation) and error.diag.constraint_name in _ATTEMPT_KEYS


def _is_away(sqlstate: str | None) -> bool:
    return sqlstate is not None and (sqlstate in _SERVER_AWAY or sqlstate.startswith("08"))


def _sqlstate(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)


def _first_line(error: BaseException) -> str:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return next(iter(str(cause).splitlines()), type(cause).__name__)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return plain(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def without_nul(value: Any) -> Any:
    """The same JSON value with U+FFFD for every NUL."""
    if isinstance(value, str):
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}")
    if isinstance(value, list):
        return [without_nul(item) for item in value]
    if isinstance(value, dict):
        return {without_nul(name): without_nul(item) for name, item in value.items()}
    return value
