"""Sorts every way in which a provider can fail into what may follow. `sort_failure` decides, and nothing else does."""

from __future__ import annotations

import math
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import orjson

from customhouse.contracts.chat import ChatRequest
from customhouse.contracts.errors import FailureKind, ProviderError
from customhouse.integrations.providers.withheld import withhold

LONGEST_PROVIDER_MESSAGE = 500
"""Characters. What a provider says beyond this is rarely more than an echo of the request."""

_REROUTE_STATUSES = frozenset({402, 404, 410, 413})
"""No money there, no such model, gone, too large for this endpoint: the same deployment will say so again."""

_RETRY_STATUSES = frozenset({408, 409, 425, 429})
"""409 and 425 as in the official SDKs, which take them for a lock that will be free again."""

_REROUTE_CODES = frozenset(
    {
        "billing_error",
        "billing_hard_limit_reached",
        "billing_not_active",
        "context_length_exceeded",
        "deploymentnotfound",
        "exceed_context_size_error",  # llama.cpp
        "insufficient_quota",  # a 429 that no waiting mends
        "model_decommissioned",
        "model_not_available",
        "model_not_found",
        "request_too_large",
        "string_above_max_length",
    }
)

_REROUTE_PHRASES = (
    "prompt is too long",
    "exceed context limit",
    "maximum context length",
    "available context size",
    "credit balance is too low",
    "specified api usage limits",
)
"""Where the code says only `invalid_request_error`: Anthropic, vLLM and older servers."""

_TERMINAL_CODES = frozenset({"content_filter", "content_policy_violation", "invalid_api_key", "invalid_prompt"})

_STATUS_OF_TYPE = {
    "api_error": 500,
    "authentication_error": 401,
    "billing_error": 402,
    "conflict_error": 409,
    "insufficient_quota": 429,
    "invalid_request_error": 400,
    "not_found_error": 404,
    "overloaded_error": 529,
    "permission_error": 403,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "request_too_large": 413,
    "server_error": 500,
    "timeout_error": 504,
}
"""The status that an error would have had, had it not come amid a stream whose status was 200 already.
Anthropic's from https://platform.claude.com/docs/en/api/errors."""

_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


@dataclass(frozen=True, slots=True)
class Called:
    """What was called: for the message, and for what must stay out of it."""

    provider: str
    model: str
    timeout_s: float
    key_env: str | None
    secret: str | None = field(repr=False)
    request: ChatRequest = field(repr=False)

    def clean(self, text: str) -> str:
        """`text` shortened, without key and prompt. Twice the length is searched, since what is found gets shorter."""
        text = " ".join(text[: 4 * LONGEST_PROVIDER_MESSAGE].split())[: 2 * LONGEST_PROVIDER_MESSAGE]
        text = withhold(text, secret=self.secret, request=self.request)
        return text if len(text) <= LONGEST_PROVIDER_MESSAGE else text[: LONGEST_PROVIDER_MESSAGE - 1] + "…"


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """An answer whose status is not 2xx."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class ErrorEvent:
    """An error object in an answer whose status was 200."""

    error: Any


@dataclass(frozen=True, slots=True)
class Breakage:
    """An answer that is not what the API promises: cut off, not JSON, of another type."""

    code: str
    detail: str
    """Ends the sentence that starts with the provider's and the model's name. Never quotes the answer."""
    kind: FailureKind = FailureKind.RETRYABLE


def sort_failure(called: Called, failure: ErrorAnswer | ErrorEvent | Breakage | Exception) -> ProviderError:
    """What the failure means, as the error to raise.

    `retryable`: time-outs, resets, broken streams, 408, 409, 425, 429, 5xx. `reroutable`: model gone, context or body
    too long, quota or credit spent, moved, certificate not valid. `terminal`: all other 4xx, content filters.
    """
    if isinstance(failure, ErrorAnswer):
        return _from_answer(called, failure)
    if isinstance(failure, ErrorEvent):
        return _from_event(called, failure)
    if isinstance(failure, Breakage):
        message = f"Provider {called.provider}, model {called.model}, {failure.detail}"
        return ProviderError(message, kind=failure.kind, provider_status=200, provider_code=failure.code)
    return _from_exception(called, failure)


def _from_answer(called: Called, answer: ErrorAnswer) -> ProviderError:
    codes, said = _read_error(_parsed(answer.body))
    kind = _kind(answer.status, codes, said)
    if kind is FailureKind.RETRYABLE and answer.headers.get("x-should-retry") == "false":
        kind = FailureKind.REROUTABLE  # OpenAI and Anthropic say so where a retry cannot help
    if not said:
        said = f"no JSON error object, content type {answer.headers.get('content-type', 'not given')}"
    return ProviderError(
        f"Provider {called.provider}, model {called.model}, answered {answer.status}"
        f"{_in_brackets(codes)}: {called.clean(said)}{_advice(called, answer.status)}",
        kind=kind,
        provider_status=answer.status,
        retry_after_s=retry_after_s(answer.headers, datetime.now(UTC)) if kind is FailureKind.RETRYABLE else None,
        provider_code=codes[0] if codes else None,
    )


def _from_event(called: Called, event: ErrorEvent) -> ProviderError:
    codes, said = _read_error({"error": event.error})
    status = _status_in(event.error) or next((_STATUS_OF_TYPE[c] for c in codes if c in _STATUS_OF_TYPE), None)
    return ProviderError(
        f"Provider {called.provider}, model {called.model}, broke its answer off with an error"
        f"{_in_brackets(codes)}: {called.clean(said) or 'it gave no message'}{_advice(called, status)}",
        kind=_kind(status, codes, said),
        provider_status=200,
        provider_code=codes[0] if codes else None,
    )


def _from_exception(called: Called, error: Exception) -> ProviderError:
    kind, status = FailureKind.RETRYABLE, None
    match error:
        case httpx.ConnectTimeout():
            code, what = "connect_timeout", "could not be connected to in time"
        case httpx.TimeoutException() | TimeoutError():
            code = "timeout"
            what = f"did not finish within {called.timeout_s:g} s (the catalog's timeout_s, or the caller's deadline)"
        case _ if _is_bad_certificate(error):
            kind, code = FailureKind.REROUTABLE, "bad_certificate"
            what = f"has a TLS certificate that is not trusted; set SSL_CERT_FILE for an own authority: {error}"
        case httpx.ConnectError() | httpx.ProxyError():
            code, what = "connection_failed", f"could not be connected to; check its base_url and that it runs: {error}"
        case httpx.RemoteProtocolError() | httpx.NetworkError() | OSError():
            code, what = "connection_reset", f"broke the connection off: {error or type(error).__name__}"
        case httpx.DecodingError():
            code, what = "malformed_answer", f"sent a body that its Content-Encoding does not decode: {error}"
        case _:
            kind, code = FailureKind.TERMINAL, "unsendable_request"
            what = f"could not be asked; check its base_url and its key: {type(error).__name__}: {error}"
    return ProviderError(
        f"Provider {called.provider}, model {called.model}, {called.clean(what)}",
        kind=kind,
        provider_status=status,
        provider_code=code,
    )


def _kind(status: int | None, codes: list[str], said: str) -> FailureKind:
    lowered = {code.lower() for code in codes}
    if lowered & _REROUTE_CODES or any(phrase in said.lower() for phrase in _REROUTE_PHRASES):
        return FailureKind.REROUTABLE
    if lowered & _TERMINAL_CODES:
        return FailureKind.TERMINAL
    if status is None or status in _RETRY_STATUSES or status >= 500:
        return FailureKind.RETRYABLE
    if status in _REROUTE_STATUSES or status < 400:
        return FailureKind.REROUTABLE
    return FailureKind.TERMINAL


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None  # a proxy's page; the status alone decides


def _read_error(body: Any) -> tuple[list[str], str]:
    """Codes, most telling first, and message of an error body, in the shapes that servers are known to use."""
    error = body.get("error", body) if isinstance(body, dict) else None
    if isinstance(error, str):
        return [], error
    if not isinstance(error, dict):
        return [], ""
    codes = [c for c in (error.get("code"), error.get("type")) if isinstance(c, str) and _CODE.fullmatch(c)]
    message = error.get("message") or error.get("detail")
    if isinstance(message, list):  # FastAPI: a list of field errors, each with the input that we must not repeat
        message = "; ".join(f"{e.get('loc')}: {e.get('msg')}" for e in message if isinstance(e, dict))
    return codes, message if isinstance(message, str) else ""


def _status_in(error: Any) -> int | None:
    """Some servers (llama.cpp, OpenRouter) put the status into the error's `code`."""
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code <= 599 else None


def _in_brackets(codes: list[str]) -> str:
    return f" ({codes[0]})" if codes else ""


def _advice(called: Called, status: int | None) -> str:
    if status in (401, 403):
        if called.key_env is None:
            return " Name the variable that holds the key as api_key_env in the catalog."
        state = "holds a key that may use this model" if called.secret else "is set"
        return f" Check that the environment variable {called.key_env} {state}."
    if status in (404, 410):
        return " Check the deployment's model name and its provider's base_url in the catalog."
    if status is not None and 300 <= status < 400:
        return " Redirects are not followed: set base_url in the catalog to where the API is."
    return ""


def _is_bad_certificate(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in str(cause):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that the provider asks to wait: `retry-after-ms`, or `Retry-After` in seconds or as an HTTP date
    (RFC 9110, section 10.2.3)."""
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    if value is None:
        return None
    if (seconds := _number(value)) is not None:
        return seconds
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None  # neither a number nor a date: as good as none given
    return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now.timestamp())


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
