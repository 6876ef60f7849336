"""How an activity fails: with what Temporal needs to know, and with our error's record for the workflow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import psycopg
from psycopg_pool import PoolTimeout as StatementPoolTimeout
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from customhouse.contracts.errors import CustomhouseError, ErrorRecord, FailureKind, NotReady
from customhouse.contracts.timing import DATABASE_PATIENCE, LONGEST_RETRY_AFTER
from customhouse.storage.engine import is_retryable

T = TypeVar("T")

DATABASE_AWAY = "database_away"
"""Type of the failure that an outage of Postgres makes."""

_PAUSE_S = 0.1
"""Between two tries of a step while Postgres is away."""


@contextmanager
def database_step() -> Iterator[None]:
    """For steps that touch only Postgres: an outage is waited out by Temporal's retries, anything else fails at once.

    Nothing retries a statement that Postgres calls wrong: it would be as wrong the next time.
    """
    try:
        yield
    except NotReady as error:
        raise ApplicationError(error.message, type=DATABASE_AWAY) from error
    except CustomhouseError as error:
        raise as_failure(error.to_record(), error) from error
    except (DBAPIError, PoolTimeout, psycopg.Error, StatementPoolTimeout) as error:
        if is_retryable(error):
            raise ApplicationError(f"Postgres does not answer: {_first_line(error)}", type=DATABASE_AWAY) from error
        raise ApplicationError(
            f"Postgres refused the statement: {_first_line(error)}", type="database_error", non_retryable=True
        ) from error


async def patiently(step: Callable[[], Awaitable[T]], *, patience: timedelta = DATABASE_PATIENCE) -> T:
    """Do an idempotent step that touches only Postgres, and again while it is away, for at most `patience`.

    For what comes after a provider's answer: Temporal's retry would call the provider again.
    """
    until = time.monotonic() + patience.total_seconds()
    while True:
        try:
            with database_step():
                return await step()
        except ApplicationError as failure:
            if failure.type != DATABASE_AWAY or time.monotonic() + _PAUSE_S > until:
                raise
        await asyncio.sleep(_PAUSE_S)


def as_failure(
    record: ErrorRecord, error: CustomhouseError | None = None, *, left: timedelta = timedelta.max
) -> ApplicationError:
    """The failure that Temporal sees. Only `retryable` is tried again on the same deployment, after its Retry-After.

    A provider that asks for a longer pause than we grant, or than is `left` of the invocation's deadline, is left for
    the next deployment of the route.
    """
    pause = timedelta(seconds=record.retry_after_s or 0)
    retryable = record.kind is FailureKind.RETRYABLE and pause <= LONGEST_RETRY_AFTER and pause < left
    return ApplicationError(
        error.message if error is not None else record.message,
        record.model_dump(mode="json"),
        type=record.code,
        non_retryable=not retryable,
        next_retry_delay=pause if retryable and record.retry_after_s is not None else None,
        category=ApplicationErrorCategory.BENIGN,  # it has a row; a stack trace in the log would tell nothing more
    )


def _first_line(error: Exception) -> str:
    """Never the statement or its parameters, which may hold content."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return next(iter(str(cause).splitlines()), type(cause).__name__)


async def uninterrupted(work: Coroutine[Any, Any, T]) -> T:
    """Wait for `work` to its end, whatever is cancelled meanwhile; such a cancel came too late, and is forgotten."""
    task = asyncio.ensure_future(work)
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            continue
    return task.result()
