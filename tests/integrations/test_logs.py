from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import use_span
from pydantic import BaseModel, ValidationError

from customhouse.contracts.errors import ConfigurationError
from customhouse.integrations.log_redaction import LONGEST_TEXT, scrub
from customhouse.integrations.logs import LogFormat, configure, log_context

INVOCATION = UUID("0199aaaa-bbbb-7ccc-8ddd-eeeeffff0001")
ORGANIZATION = UUID("0199aaaa-bbbb-7ccc-8ddd-eeeeffff0002")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Logging is the process's: put it back as pytest had it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def _configured(format: LogFormat = "json", level: str = "info") -> io.StringIO:  # noqa: A002
    stream = io.StringIO()
    configure(level, format, stream)
    return stream


def _entries(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_record_is_one_json_object_with_its_extra() -> None:
    stream = _configured()
    logging.getLogger("customhouse.x").info(
        "a\nb %d \ud800", 7, extra={"deployment": "m@p@eu", "big": {"not": "plain"}}
    )
    (entry,) = _entries(stream)
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {
        "level": "INFO",
        "logger": "customhouse.x",
        "message": "a\nb 7 \ud800",
        "deployment": "m@p@eu",
    }


async def test_ids_follow_the_context_into_tasks_and_no_further() -> None:
    stream = _configured()
    log = logging.getLogger("customhouse.x")

    async def work() -> None:
        log.info("inside")

    with log_context(organization_id=ORGANIZATION), log_context(invocation_id=INVOCATION):
        await asyncio.create_task(work())
    log.info("outside")
    inside, outside = _entries(stream)
    assert inside["invocation_id"] == str(INVOCATION)
    assert inside["organization_id"] == str(ORGANIZATION)
    assert inside["trace_id"] == INVOCATION.hex
    assert "invocation_id" not in outside
    assert "trace_id" not in outside


def test_the_current_spans_ids_stand_in_the_record() -> None:
    stream = _configured()
    span = TracerProvider(shutdown_on_exit=False).get_tracer("t").start_span("s")
    with use_span(span):
        logging.getLogger("x").warning("traced")
    (entry,) = _entries(stream)
    context = span.get_span_context()
    assert (entry["trace_id"], entry["span_id"]) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")


class _Prompt(BaseModel):
    tokens: int


def test_a_validators_message_loses_the_value() -> None:
    stream = _configured()
    try:
        _Prompt.model_validate({"tokens": "the secret prompt"})
    except ValidationError as error:
        logging.getLogger("x").exception("refused: %s", error)
    (entry,) = _entries(stream)
    assert entry["message"] == "refused: tokens: int_parsing"
    assert entry["exception.type"] == "ValidationError"
    assert "test_logs.py" in entry["exception.stacktrace"]
    assert "secret" not in stream.getvalue()


async def test_an_http_clients_error_loses_the_credentials() -> None:
    stream = _configured(level="debug")
    request = httpx.Request(
        "GET", "http://user:hunter2@127.0.0.1:1/v1?key=topsecret", headers={"X-Api-Key": "topsecret"}
    )
    try:
        raise httpx.ConnectError(f"no route for {request.url} with {request.headers.raw}", request=request)
    except httpx.ConnectError:
        logging.getLogger("x").exception("the provider failed")
    (entry,) = _entries(stream)
    assert "no route" in entry["exception.message"]
    assert "topsecret" not in stream.getvalue()
    assert "hunter2" not in stream.getvalue()


def test_a_chain_shows_the_cause_first() -> None:
    stream = _configured()
    try:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise ExceptionGroup("outer", [OSError("one")]) from error
    except ExceptionGroup:
        logging.getLogger("x").exception("both")
    stack = _entries(stream)[0]["exception.stacktrace"]
    assert stack.index("KeyError: 'inner'") < stack.index("ExceptionGroup: outer") < stack.index("1. OSError: one")


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer abc.def-123", "abc.def-123"),
        ("{'authorization': 'abcdef'}", "abcdef"),
        ("(b'X-Api-Key', b'abcdef')", "abcdef"),
        ('api_key="abcdef"', "abcdef"),
        ("sent Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("key sk-ant-api03-abcdefghijklmnop", "abcdefghijklmnop"),
        ("key ck_abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnop"),
        ("postgresql+psycopg://me:pass@host/db", "pass"),
        ("Cookie: session=abcdef; a=b", "abcdef"),
    ],
)
def test_credentials_are_scrubbed(text: str, secret: str) -> None:
    assert secret not in scrub(text)
    assert "[redacted]" in scrub(text)


def test_other_text_stays_and_long_text_is_cut() -> None:
    plain = "the deployment gpt-4o-mini@openai@eu took 12.5 ms: task-queue basic, key=value"
    assert scrub(plain) == plain
    assert scrub("x" * (LONGEST_TEXT + 5)).endswith("… (5 more characters)")


def test_libraries_are_routed_and_kept_quiet() -> None:
    uvicorn = logging.getLogger("uvicorn.error")
    uvicorn.addHandler(logging.StreamHandler(io.StringIO()))
    stream = _configured(level="debug")
    uvicorn.info("started")
    logging.getLogger("temporalio.worker").warning("slow")
    logging.getLogger("sqlalchemy.engine").info("[{'prompt': 'secret'}]")
    logging.getLogger("httpcore.http11").debug("authorization")
    logging.getLogger("uvicorn.access").info("GET /")
    assert [entry["logger"] for entry in _entries(stream)] == ["uvicorn.error", "temporalio.worker"]


def test_the_console_has_one_line_a_record() -> None:
    stream = _configured("console")
    with log_context(invocation_id=INVOCATION):
        logging.getLogger("x").info("a\nb \ud800")
    (line,) = stream.getvalue().splitlines()
    assert "INFO     x: a\\nb \\ud800  invocation_id=" in line
    assert "\x1b" not in line


def test_an_unknown_level_is_refused_with_the_mend() -> None:
    with pytest.raises(ConfigurationError, match="CUSTOMHOUSE_LOG_LEVEL to one of DEBUG"):
        configure("loud", "json")
