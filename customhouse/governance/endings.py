"""What an attempt's outcome means for its invocation."""

from __future__ import annotations

from dataclasses import dataclass

from customhouse.contracts.errors import ErrorRecord, InvocationCancelled
from customhouse.contracts.governance import Verdict
from customhouse.contracts.invocation import AttemptOutcome, AttemptStatus, InvocationResult, InvocationStatus


@dataclass(frozen=True, slots=True)
class Ending:
    """How an invocation ends: with its last attempt's outcome, or with the error that stands instead of an answer."""

    status: InvocationStatus
    outcome: AttemptOutcome | None = None
    error: ErrorRecord | None = None


def ending_of(outcome: AttemptOutcome) -> Ending:
    """For an attempt that was answered or cancelled; a failed one may be followed by another."""
    if outcome.status is AttemptStatus.CANCELLED:
        return cancelled(outcome)
    if outcome.verdict in (Verdict.BLOCK, Verdict.REVIEW):  # nobody reviews answers yet, so none is let out unseen
        return Ending(InvocationStatus.BLOCKED, outcome, outcome.error)
    return Ending(InvocationStatus.COMPLETED, outcome)


def cancelled(outcome: AttemptOutcome | None) -> Ending:
    """`outcome` None: between two attempts, when nothing was being spent."""
    reason = outcome.error.message if outcome is not None and outcome.error is not None else "cancelled by request"
    error = InvocationCancelled(f"The invocation was cancelled: {reason}.")
    return Ending(InvocationStatus.CANCELLED, outcome, error.to_record())


def with_answer(result: InvocationResult, outcome: AttemptOutcome) -> InvocationResult:
    """The recorded result together with the answer, which only a completed invocation hands out.

    A result that bears an answer already was recorded by another attempt: what stands is what everybody is told.
    """
    if result.status is not InvocationStatus.COMPLETED or result.answer is not None or result.answer_ref is not None:
        return result
    return result.model_copy(update={"answer": outcome.answer, "answer_ref": outcome.answer_ref})
