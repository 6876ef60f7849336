"""The one place that renders errors: OpenAI's error object under `/v1`, RFC 9457 problems everywhere else."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import orjson
import psycopg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from psycopg_pool import PoolTimeout as StatementPoolTimeout
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.responses import Response

from customhouse.contracts.chat import Json
from customhouse.contracts.errors import (
    CustomhouseError,
    ErrorRecord,
    InvalidRequest,
    NotReady,
    UnprocessableField,
)
from customhouse.storage.engine import is_retryable

log = logging.getLogger(__name__)

_LONGEST_SHOWN = 64
"""Characters of a key that an error repeats: as many as a metadata key may have."""

_OPENAI_TYPES = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error"}
_OPENAI_TYPES |= {402: "insufficient_quota"}  # OpenAI's own word for an account that is spent
_OPENAI_TYPES |= {404: "invalid_request_error", 409: "conflict_error", 413: "invalid_request_error"}
_OPENAI_TYPES |= {422: "invalid_request_error", 429: "rate_limit_error"}

_TITLES = {
    400: "Bad request",
    401: "Not authenticated",
    402: "Budget exceeded",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Body too large",
    422: "Unprocessable content",
    429: "Too many requests",
    502: "Provider failed",
    503: "Not ready",
    504: "Timed out",
}


def openai_error(record: ErrorRecord) -> Json:
    """The body that the official OpenAI clients turn into their own exceptions."""
    kind = _OPENAI_TYPES.get(record.status, "server_error" if record.status >= 500 else "invalid_request_error")
    return {"error": {"message": record.message, "type": kind, "param": record.param, "code": record.code}}


def problem(record: ErrorRecord, instance: str | None = None) -> Json:
    """RFC 9457, with `code` and, where one field is at fault, `param` as extension members."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": _TITLES.get(record.status, "Error"),
        "status": record.status,
        "detail": record.message,
        "code": record.code,
    }
    if record.param is not None:
        body["param"] = record.param
    if instance is not None:
        body["instance"] = instance
    return body


def render(path: str, record: ErrorRecord, headers: Mapping[str, str] | None = None) -> Response:
    """An error response in the dialect of the door that the request came through."""
    extra = dict(headers or {})
    if record.retry_after_s is not None:
        extra.setdefault("retry-after", str(max(1, round(record.retry_after_s))))
    if record.status == 401:
        extra.setdefault("www-authenticate", 'Bearer realm="customhouse"')
    if path.startswith("/v1/"):
        return Response(orjson.dumps(openai_error(record)), record.status, extra, "application/json")
    return Response(orjson.dumps(problem(record, path)), record.status, extra, "application/problem+json")


def field_error(error: ValidationError | RequestValidationError, prefix: str = "") -> UnprocessableField:
    """Pydantic's first complaint as ours: names the field, says what is wrong with it, and counts the others."""
    complaints = list(error.errors())
    first = complaints[0]
    location = [_shown(part) for part in first["loc"] if part not in ("body", "query", "path", "header")]
    param = ".".join(([prefix] if prefix else []) + location) or "body"
    more = f" ({len(complaints) - 1} more like this)" if len(complaints) > 1 else ""
    return UnprocessableField(f"{param}: {first['msg']}.{more}", param=param)


def _shown(part: int | str) -> str:
    """A part of a field's path: keys are the caller's, and may be megabytes long."""
    text = str(part)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def install(app: FastAPI) -> None:
    """Every exception that leaves a route ends here."""

    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, CustomhouseError)  # noqa: S101 - narrows the handler's declared type
        if error.status >= 500:
            log.warning("request failed", extra={"code": error.code, "path": request.url.path, "error": error.message})
        return render(request.url.path, error.to_record())

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101
        return render(request.url.path, field_error(error).to_record())

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101
        if error.status_code == 404:
            message = f"There is nothing at {request.method} {request.url.path}. GET /openapi.json lists the routes."
            record = ErrorRecord(code="not_found", message=message, status=404)
        else:
            record = InvalidRequest(str(error.detail)).to_record()
            record = record.model_copy(update={"status": error.status_code, "code": f"http_{error.status_code}"})
        return render(request.url.path, record, error.headers)

    async def database(request: Request, error: Exception) -> Response:
        if not is_retryable(error):
            return await unexpected(request, error)
        log.warning("Postgres does not answer", extra={"path": request.url.path, "error": type(error).__name__})
        away = NotReady(
            "Postgres does not answer right now. Try again; with an Idempotency-Key, nothing is done twice."
        )
        return render(request.url.path, away.to_record().model_copy(update={"retry_after_s": 1.0}))

    async def unexpected(request: Request, error: Exception) -> Response:
        log.error("unexpected error", exc_info=error, extra={"path": request.url.path})
        return render(
            request.url.path,
            CustomhouseError(
                "Something went wrong on our side. It has been logged; try again, with the same Idempotency-Key."
            ).to_record(),
        )

    app.add_exception_handler(CustomhouseError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    for away in (DBAPIError, PoolTimeout, psycopg.Error, StatementPoolTimeout):
        app.add_exception_handler(away, database)
    app.add_exception_handler(Exception, unexpected)
