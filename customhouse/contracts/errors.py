"""The one error hierarchy. Every error the product raises on purpose is in this tree.

    CustomhouseError                    500  internal_error
    ├── InvalidRequest                  400  invalid_request       the caller's request is malformed
    │   ├── UnprocessableField          422  invalid_field         one field is wrong; `param` names it
    │   ├── PayloadTooLarge             413  payload_too_large
    │   └── UnknownModel                404  model_not_found       no deployment serves the model
    ├── Unauthenticated                 401  invalid_api_key       no key, or a wrong, expired or revoked one
    ├── Forbidden                       403  forbidden             the key's role does not reach this far
    ├── Blocked                         403  blocked               the caller's address, user, agent or key is blocked
    ├── RateLimited                     429  rate_limit_exceeded   a limit of requests, tokens or dollars is reached
    ├── NotFound                        404  not_found             also: another organization's thing
    ├── Conflict                        409  conflict
    ├── IdempotencyMismatch             422  idempotency_key_reused  same key, another body
    ├── BlockedByPolicy                 403  blocked_by_policy     a check's finding forbids the call or its answer
    ├── BudgetExceeded                  402  budget_exceeded       a hard budget has no room left for the call
    │   ├── BudgetReserved              429  budget_reserved       its room is held by calls in flight, for now
    │   └── BudgetPriceUnknown          403  budget_price_unknown  the deployment has no known price to hold
    ├── NoLawfulRoute                   403  no_lawful_route       the law leaves no deployment for this call
    ├── InvocationCancelled             409  invocation_cancelled  the caller or an operator cancelled it
    ├── InvocationFailed                502  invocation_failed     every attempt the route allows has failed
    │   └── InvocationTimedOut          504  invocation_timed_out
    ├── NotReady                        503  not_ready             a part we stand on does not serve
    ├── ProviderError                   502  provider_error        one attempt failed; `kind` says what may follow
    └── ConfigurationError              500  configuration_error   settings, catalog or data directory; says the mend

`api/problems.py` renders them, and nothing else does. `to_record` and `from_record` carry one across a process
boundary (workflow result, database row) without its traceback.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from pydantic import BaseModel


class FailureKind(StrEnum):
    """What may follow a failed attempt."""

    RETRYABLE = "retryable"
    """Try the same deployment again: 429, 5xx, time-outs, resets, broken streams."""
    REROUTABLE = "reroutable"
    """Only another deployment can help: model gone, context too long."""
    TERMINAL = "terminal"
    """Nothing helps: bad request, bad credentials, refusal."""


STREAM_BROKEN = "stream_broken"
"""Code of an attempt that failed after text had left for the caller: no other attempt may begin the answer anew."""


class ErrorRecord(BaseModel):
    """An error as data: what is stored in a row and in a workflow's result."""

    code: str
    message: str
    status: int
    param: str | None = None
    kind: FailureKind | None = None
    """Only for provider failures."""
    provider_status: int | None = None
    """HTTP status the provider answered with, if it answered."""
    retry_after_s: float | None = None


class CustomhouseError(Exception):
    """Base of all errors. The message says what was wrong, with what, and what to do."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500

    def __init__(self, message: str, *, param: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s
        self.invocation_id: UUID | None = None
        """Set where an invocation had begun: it has a row that tells more."""

    def to_record(self) -> ErrorRecord:
        return ErrorRecord(
            code=self.code,
            message=self.message,
            status=self.status,
            param=self.param,
            retry_after_s=self.retry_after_s,
        )


class InvalidRequest(CustomhouseError):
    """The request is malformed as a whole."""

    code, status = "invalid_request", 400


class UnprocessableField(InvalidRequest):
    """One field is wrong; `param` is its path, such as `messages.0.content`."""

    code, status = "invalid_field", 422


class PayloadTooLarge(InvalidRequest):
    """The body is over the limit; the message names the limit."""

    code, status = "payload_too_large", 413


class UnknownModel(InvalidRequest):
    """No deployment in the catalog serves the model that was asked for."""

    code, status = "model_not_found", 404


class Unauthenticated(CustomhouseError):
    """No API key, or one that is unknown, expired or revoked."""

    code, status = "invalid_api_key", 401


class Forbidden(CustomhouseError):
    """The key is good, but its role does not allow this."""

    code, status = "forbidden", 403


class Blocked(CustomhouseError):
    """The caller is on a block list, or not on the list of those who alone are let in."""

    code, status = "blocked", 403


class RateLimited(CustomhouseError):
    """A limit of requests, tokens or dollars is reached; the message says which, of whom, and when to try again."""

    code, status = "rate_limit_exceeded", 429

    def __init__(self, message: str, *, param: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message, param=param, retry_after_s=retry_after_s)
        self.headers: Mapping[str, str] = {}
        """`x-ratelimit-*` of the answer; they do not outlive the process that counted."""


class NotFound(CustomhouseError):
    """There is no such thing in the caller's organization."""

    code, status = "not_found", 404


class Conflict(CustomhouseError):
    """The thing is in a state that does not allow this."""

    code, status = "conflict", 409


class IdempotencyMismatch(CustomhouseError):
    """The idempotency key was used before with another body."""

    code, status = "idempotency_key_reused", 422


class BlockedByPolicy(CustomhouseError):
    """A check's finding forbids the request or its answer."""

    code, status = "blocked_by_policy", 403


class BudgetExceeded(CustomhouseError):
    """A hard budget has no room left for the worst that the call may cost."""

    code, status = "budget_exceeded", 402

    kind: ClassVar[FailureKind] = FailureKind.TERMINAL
    """Another deployment does not help: what is held is the worst of the whole route."""

    def to_record(self) -> ErrorRecord:
        return super().to_record().model_copy(update={"kind": self.kind})


class BudgetReserved(BudgetExceeded):
    """A hard budget has room left, but calls in flight hold it; they may give some back."""

    code, status = "budget_reserved", 429


class BudgetPriceUnknown(BudgetExceeded):
    """A hard budget applies, and the deployment has no known price to hold against it."""

    code, status = "budget_price_unknown", 403

    kind = FailureKind.REROUTABLE


BUDGET_REFUSALS = frozenset(each.code for each in (BudgetExceeded, BudgetReserved, BudgetPriceUnknown))
"""Codes of attempts that were not made for want of room."""


class NoLawfulRoute(CustomhouseError):
    """The model exists, but the law (region, capability) leaves no deployment for this call."""

    code, status = "no_lawful_route", 403


class InvocationCancelled(CustomhouseError):
    """The caller or an operator cancelled the invocation."""

    code, status = "invocation_cancelled", 409


class InvocationFailed(CustomhouseError):
    """Every attempt that the route allows has failed."""

    code, status = "invocation_failed", 502


class InvocationTimedOut(InvocationFailed):
    """The invocation's deadline passed before an answer came."""

    code, status = "invocation_timed_out", 504


class NotReady(CustomhouseError):
    """A part that this process stands on (database, Temporal) does not serve right now."""

    code, status = "not_ready", 503


class ConfigurationError(CustomhouseError):
    """Settings, catalog or data directory are unusable; the message says where and how to mend it."""

    code, status = "configuration_error", 500


class ProviderError(CustomhouseError):
    """One attempt at one deployment failed. `kind` says what may follow."""

    code, status = "provider_error", 502

    def __init__(
        self,
        message: str,
        *,
        kind: FailureKind,
        provider_status: int | None = None,
        retry_after_s: float | None = None,
        provider_code: str | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message, param=param, retry_after_s=retry_after_s)
        self.kind = kind
        self.provider_status = provider_status
        self.provider_code = provider_code

    def to_record(self) -> ErrorRecord:
        record = super().to_record()
        return record.model_copy(
            update={
                "code": self.provider_code or self.code,
                "kind": self.kind,
                "provider_status": self.provider_status,
            }
        )


def _tree(root: type[CustomhouseError]) -> dict[str, type[CustomhouseError]]:
    found = {root.code: root}
    for child in root.__subclasses__():
        found |= _tree(child)
    return found


class RecordedError(CustomhouseError):
    """An error read back from a row or a workflow result; renders exactly as the original did."""

    def __init__(self, record: ErrorRecord) -> None:
        super().__init__(record.message, param=record.param, retry_after_s=record.retry_after_s)
        self.record = record

    def to_record(self) -> ErrorRecord:
        return self.record


def from_record(record: ErrorRecord) -> CustomhouseError:
    """Turn a stored record into an exception that can be raised: of its own class where it is known."""
    known = _tree(CustomhouseError).get(record.code)
    if known is None or issubclass(known, (ProviderError, RecordedError)):
        return RecordedError(record)
    return known(record.message, param=record.param, retry_after_s=record.retry_after_s)
