"""Structured logs on the standard library's logging: one JSON object a line, or a line for people.

Every record bears the ids of the invocation that it belongs to, and of the trace; none bears content.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal, TextIO
from uuid import UUID

from opentelemetry.trace import format_span_id, format_trace_id, get_current_span

from customhouse.contracts.errors import ConfigurationError
from customhouse.integrations.log_redaction import safe_message, scrub, stack_of

LogFormat = Literal["json", "console"]

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

_ALWAYS_QUIET = ("httpcore", "httpx", "hpack", "openai", "anthropic", "psycopg", "sqlalchemy", "urllib3")
"""Below WARNING these log headers, statements and their parameters: credentials and content, at any level of ours."""

_REQUEST_LINES = "uvicorn.access"
"""One line a request costs more than it tells: the invocation's own records have all of it, and their ids."""

_OWN_HANDLERS = ("uvicorn", "uvicorn.error", _REQUEST_LINES)

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}

_COLORS = {"DEBUG": "2", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}
"""ANSI codes."""

_ids: ContextVar[Mapping[str, str] | None] = ContextVar("customhouse_log_ids", default=None)


@contextmanager
def log_context(*, invocation_id: UUID | None = None, organization_id: UUID | None = None) -> Iterator[None]:
    """Records made within bear these ids, also in tasks started there."""
    added = {"invocation_id": invocation_id, "organization_id": organization_id}
    token = _ids.set({**(_ids.get() or {}), **{name: str(value) for name, value in added.items() if value is not None}})
    try:
        yield
    finally:
        _ids.reset(token)


def configure(level: str, format: LogFormat, stream: TextIO | None = None) -> None:  # noqa: A002 - the setting's name
    """Send all logging of this process to `stream` (stderr). For the composition root only.

    Raises ConfigurationError for an unknown level. Start uvicorn with `log_config=None`, or it undoes this.
    """
    name = level.upper()
    if name not in _LEVELS:
        raise ConfigurationError(
            f"the log level {level!r} is unknown: set CUSTOMHOUSE_LOG_LEVEL to one of {', '.join(_LEVELS)}",
            param="log_level",
        )
    target = stream or sys.stderr
    handler = logging.StreamHandler(target)
    handler.setFormatter(JsonFormatter() if format == "json" else ConsoleFormatter(color=target.isatty()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(name)
    for owner in _OWN_HANDLERS:
        logger = logging.getLogger(owner)
        logger.handlers.clear()
        logger.propagate = True
    for quiet in (*_ALWAYS_QUIET, _REQUEST_LINES):
        logging.getLogger(quiet).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(capture=True)


class JsonFormatter(logging.Formatter):
    """One JSON object: timestamp, level, logger, message, ids, the call's own `extra`, and the exception, if any."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "timestamp": _time(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
            **_context(),
            **_extra(record),
        }
        error = _error(record)
        if error is not None:
            entry["exception.type"] = type(error).__qualname__
            entry["exception.message"] = safe_message(error)
            entry["exception.stacktrace"] = stack_of(error)
        # ASCII only: lone surrogates, which callers may send, cannot be written as UTF-8.
        return json.dumps(entry, default=str)


class ConsoleFormatter(logging.Formatter):
    """A line that a person reads."""

    def __init__(self, *, color: bool) -> None:
        super().__init__()
        self._color = color

    def format(self, record: logging.LogRecord) -> str:
        level = f"{record.levelname:<8}"
        if self._color:
            level = f"\x1b[{_COLORS.get(record.levelname, '0')}m{level}\x1b[0m"
        # One record, one line: a line break in a value must not pass for another record.
        message = _message(record).replace("\r", "\\r").replace("\n", "\\n")
        fields = " ".join(f"{name}={value}" for name, value in {**_context(), **_extra(record)}.items())
        moment = _time(record).astimezone().strftime("%H:%M:%S.%f")[:-3]
        line = f"{moment} {level} {record.name}: {message}{'  ' if fields else ''}{fields}"
        error = _error(record)
        text = line if error is None else f"{line}\n{stack_of(error)}"
        return text.encode(errors="backslashreplace").decode()


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _message(record: logging.LogRecord) -> str:
    args = record.args
    if isinstance(args, tuple) and any(isinstance(arg, BaseException) for arg in args):
        shown = tuple(safe_message(arg) if isinstance(arg, BaseException) else arg for arg in args)
        return scrub(str(record.msg) % shown)
    return scrub(record.getMessage())


def _error(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if isinstance(record.exc_info, tuple) else None


def _context() -> dict[str, str]:
    fields = dict(_ids.get() or {})
    span = get_current_span().get_span_context()
    if span.is_valid:
        fields["trace_id"], fields["span_id"] = format_trace_id(span.trace_id), format_span_id(span.span_id)
    elif "invocation_id" in fields:
        # An invocation's trace id is its own id, also where nothing is traced.
        fields["trace_id"] = UUID(fields["invocation_id"]).hex
    return fields


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    # Only plain values: the Temporal SDK attaches whole structures.
    return {
        name: scrub(value) if isinstance(value, str) else value
        for name, value in vars(record).items()
        if name not in _STANDARD and isinstance(value, str | int | float | UUID | None)
    }
