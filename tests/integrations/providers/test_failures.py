from __future__ import annotations

import ssl
from datetime import UTC, datetime

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from customhouse.contracts.chat import ChatRequest
from customhouse.contracts.errors import FailureKind, ProviderError
from customhouse.integrations.providers.failures import (
    Called,
    ErrorAnswer,
    ErrorEvent,
    retry_after_s,
    sort_failure,
)

RETRYABLE, REROUTABLE, TERMINAL = FailureKind.RETRYABLE, FailureKind.REROUTABLE, FailureKind.TERMINAL
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def called(**changes: object) -> Called:
    request = ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "Hello you there"}]})
    known = {"provider": "acme", "model": "m-1", "timeout_s": 2.5, "key_env": "ACME_KEY", "secret": "top-secret"}
    return Called(**{**known, "request": request, **changes})  # type: ignore[arg-type]


def answered(status: int, error: object, **headers: str) -> ProviderError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return sort_failure(called(), ErrorAnswer(status, httpx.Headers(named), orjson.dumps(error)))


@pytest.mark.parametrize(
    ("status", "error", "kind", "code"),
    [
        (404, {"code": "model_not_found", "type": "invalid_request_error"}, REROUTABLE, "model_not_found"),
        (400, {"code": "context_length_exceeded"}, REROUTABLE, "context_length_exceeded"),
        (400, {"code": 400, "type": "exceed_context_size_error"}, REROUTABLE, "exceed_context_size_error"),
        (400, {"message": "This model's maximum context length is 4096 tokens.", "code": 400}, REROUTABLE, None),
        (400, {"code": "model_decommissioned"}, REROUTABLE, "model_decommissioned"),
        (404, {"code": "DeploymentNotFound"}, REROUTABLE, "DeploymentNotFound"),
        (429, {"code": "insufficient_quota", "type": "insufficient_quota"}, REROUTABLE, "insufficient_quota"),
        (429, {"code": "rate_limit_exceeded", "type": "tokens"}, RETRYABLE, "rate_limit_exceeded"),
        (400, {"code": "content_filter"}, TERMINAL, "content_filter"),
        (500, {"code": "content_policy_violation"}, TERMINAL, "content_policy_violation"),
        (401, {"code": "invalid_api_key"}, TERMINAL, "invalid_api_key"),
        (503, {"code": "text with spaces"}, RETRYABLE, None),
        (418, {}, TERMINAL, None),
        (599, {}, RETRYABLE, None),
    ],
)
def test_answers(status: int, error: object, kind: FailureKind, code: str | None) -> None:
    failure = answered(status, {"error": error})
    assert (failure.kind, failure.provider_status, failure.provider_code) == (kind, status, code)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": "model 'x' not found"}, "model 'x' not found"),
        ({"message": "Out of credit"}, "Out of credit"),
        ({"detail": "Not authenticated"}, "Not authenticated"),
        ({"detail": [{"loc": ["body", "n"], "msg": "too large", "input": "hush"}]}, "['body', 'n']: too large"),
        ({"object": "error", "message": "flat", "type": "BadRequestError", "code": 400}, "flat"),
        ([1], "no JSON error object"),
        (None, "no JSON error object"),
    ],
)
def test_reads_the_message_of_many_servers(body: object, said: str) -> None:
    failure = answered(400, body)
    assert said in failure.message
    assert "hush" not in failure.message


def test_a_server_that_says_do_not_retry_is_not_retried() -> None:
    assert answered(429, {}, x_should_retry="false").kind is REROUTABLE
    assert answered(429, {}, x_should_retry="true").kind is RETRYABLE
    assert answered(400, {}, x_should_retry="true").kind is TERMINAL


def test_only_a_retryable_failure_says_when_to_retry() -> None:
    assert answered(429, {}, retry_after="3").retry_after_s == 3
    assert answered(503, {}, retry_after="3").retry_after_s == 3
    assert answered(429, {"error": {"code": "insufficient_quota"}}, retry_after="3").retry_after_s is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Thu, 01 Jan 2026 12:00:30 GMT"}, 30),
        ({"retry-after": "Thu, 01 Jan 2026 12:00:30 -0000"}, 30),
        ({"retry-after": "Thu, 01 Jan 2026 11:00:00 GMT"}, 0),
        ({"retry-after": "Thu, 99 Jan 2026 11:00:00 GMT"}, None),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after-ms": "x", "retry-after": "1"}, 1),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers, NOW) == seconds


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (httpx.ConnectTimeout(""), RETRYABLE, "connect_timeout"),
        (httpx.ReadTimeout(""), RETRYABLE, "timeout"),
        (TimeoutError(), RETRYABLE, "timeout"),
        (httpx.ConnectError("All connection attempts failed"), RETRYABLE, "connection_failed"),
        (httpx.ReadError(""), RETRYABLE, "connection_reset"),
        (httpx.WriteError(""), RETRYABLE, "connection_reset"),
        (httpx.RemoteProtocolError("Server disconnected"), RETRYABLE, "connection_reset"),
        (ConnectionResetError(104, "reset"), RETRYABLE, "connection_reset"),
        (httpx.DecodingError("bad gzip"), RETRYABLE, "malformed_answer"),
        (httpx.LocalProtocolError("Illegal header value b'Bearer top-secret'"), TERMINAL, "unsendable_request"),
        (httpx.UnsupportedProtocol("ftp"), TERMINAL, "unsendable_request"),
    ],
)
def test_exceptions(error: Exception, kind: FailureKind, code: str) -> None:
    failure = sort_failure(called(), error)
    assert (failure.kind, failure.provider_code, failure.provider_status) == (kind, code, None)
    assert "acme" in failure.message
    assert "top-secret" not in failure.message


def test_an_untrusted_certificate_is_not_retried() -> None:
    error = httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
    assert sort_failure(called(), error).kind is REROUTABLE
    error = httpx.ConnectError("handshake")
    error.__cause__ = ssl.SSLCertVerificationError(1, "self-signed")
    assert sort_failure(called(), error).provider_code == "bad_certificate"


def test_advice_fits_the_key() -> None:
    assert "ACME_KEY holds a key" in answered(401, {}).message
    refusal = ErrorAnswer(401, {}, b"")
    assert "ACME_KEY is set" in sort_failure(called(secret=None), refusal).message
    assert "api_key_env" in sort_failure(called(secret=None, key_env=None), refusal).message


def test_long_messages_are_shortened() -> None:
    failure = answered(400, {"error": {"message": "z" * 5000}})
    assert "z" * 499 + "…" in failure.message
    assert "z" * 500 not in failure.message


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["error", "message", "code", "type", "detail"]), inner)
    ),
)


@given(status=st.integers(300, 599), body=_JSON | st.binary(), headers=st.dictionaries(st.text(), st.text()))
def test_sorts_whatever_comes(status: int, body: object, headers: dict[str, str]) -> None:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    assert sort_failure(called(), ErrorAnswer(status, headers, raw)).kind in FailureKind
    assert sort_failure(called(), ErrorEvent(body)).kind in FailureKind
