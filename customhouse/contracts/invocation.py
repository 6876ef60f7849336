"""Messages of one governed invocation: what goes into the workflow, between its steps, and comes out."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from customhouse.contracts.budgets import Shortage
from customhouse.contracts.chat import ChatCompletion, ChatRequest, Labels, Usage
from customhouse.contracts.errors import ErrorRecord
from customhouse.contracts.governance import Finding, InspectionContext, StepTiming, Verdict

Label = Annotated[str, Field(min_length=1, max_length=256)]


class Caller(BaseModel):
    """Who asks, and within which run of their own."""

    model_config = ConfigDict(frozen=True)

    organization_id: UUID
    key_id: UUID | None = None
    agent_id: Label | None = None
    user_id: Label | None = None
    workflow_execution_id: Label | None = None
    """The caller's own run."""
    node_id: Label | None = None
    region: Label | None = None
    """Only deployments in this region may answer."""
    plan: Label | None = None
    ip: Label | None = None
    """Address that the request came from, as the API saw it; None for calls through Temporal."""


class ContentRef(BaseModel):
    """A claim check: content that is too large for Temporal's history and lies in Postgres."""

    model_config = ConfigDict(frozen=True)

    content_id: UUID
    size_bytes: int


class InvocationInput(BaseModel):
    """Input of the workflow `GovernedInvocation`."""

    invocation_id: UUID
    caller: Caller
    idempotency_key: Annotated[str, Field(min_length=1, max_length=255)]
    fingerprint: str
    """Hash of the request and of what the caller said of itself; see `governance/identity.py`."""
    request: ChatRequest | None = None
    request_ref: ContentRef | None = None
    model: str
    """The model asked for, also where the request itself lies in Postgres."""
    stream: bool = False
    stream_through_workflow: bool = False
    """Publish chunks through the workflow (Temporal Workflow Streams), for readers in other processes."""
    origin: str | None = None
    """Id of the process that waits for the answer. Where another one records it, Postgres notifies."""
    deadline_s: Annotated[float, Field(gt=0, le=86_400)] = 600
    """Seconds from start to answer, recovery excluded."""
    accepted_at: float
    """When the request came in, in seconds since the epoch: overhead is counted from here."""
    metadata: Labels = {}

    def left_s(self, now: float) -> float:
        """Seconds until the deadline at `now`, in seconds since the epoch; negative once it has passed."""
        return self.accepted_at + self.deadline_s - now

    @model_validator(mode="after")
    def _has_content(self) -> InvocationInput:
        if (self.request is None) == (self.request_ref is None):
            raise ValueError("exactly one of request and request_ref must be set")
        return self


class Lane(StrEnum):
    """How an attempt runs: inside the workflow task, or as an activity of its own with heartbeats."""

    LOCAL = "local"
    REGULAR = "regular"


class RouteStep(BaseModel):
    """One deployment that this invocation may use."""

    model_config = ConfigDict(frozen=True)

    deployment_id: str
    model: str
    provider: str
    region: str
    lane: Lane
    task_queue: str | None = None
    timeout_s: float
    reason: str


class LeftOut(BaseModel):
    """A deployment of the asked-for model that this invocation may not use, and why."""

    model_config = ConfigDict(frozen=True)

    deployment_id: str
    reason: str


class Decision(BaseModel):
    """Outcome of `clear`. Recorded in history and in Postgres, never computed again for the same invocation."""

    invocation_id: UUID
    """Differs from the input's where the same key had already been accepted through another door."""
    verdict: Verdict
    findings: list[Finding] = []
    route: list[RouteStep] = []
    left_out: list[LeftOut] = []
    policy_version: str
    prompt_tokens: int = 0
    """Estimated: what an attempt is charged with, should nobody ever learn what it used."""
    max_repairs: int = 0
    """How often the model may be asked again when its answer misses the schema."""
    alongside: list[str] = []
    """Checks whose thorough look is taken while the provider is called; nothing is let out before their verdict."""
    context: InspectionContext = InspectionContext()
    """What those checks weigh besides the text."""
    originals_ref: ContentRef | None = None
    """The encrypted record of what was redacted, where policy restores it in the answer."""
    error: ErrorRecord | None = None
    """Why the invocation ends here: blocked, no lawful route, unknown model, invalid request."""
    steps: list[StepTiming] = []
    settled: InvocationResult | None = None
    """Set when Postgres already holds this invocation's result (Temporal had forgotten the run)."""


class AttemptStatus(StrEnum):
    STARTED = "started"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    """Started, and then the process died: whether the provider answered is not known. Its cost is an estimate."""


class Repair(BaseModel):
    """A former answer missed its schema: what the model is shown when it is asked again."""

    answer: str
    complaint: str


class CallInput(BaseModel):
    """Input of `call`: one deployment of the frozen route."""

    invocation: InvocationInput
    step: RouteStep
    decision: Decision
    after_attempt: int = 0
    """Attempts up to this number are spent: a settled one after it is this call's own, from before a crash."""
    timeout_s: float
    """Seconds that the provider may take: the deployment's limit or what is left of the deadline."""
    repair: Repair | None = None
    repairs_left: int = 0
    """How often the model may still be asked again after this attempt."""


class AttemptOutcome(BaseModel):
    """What one attempt came to."""

    number: int
    step: RouteStep
    status: AttemptStatus
    answer: ChatCompletion | None = None
    answer_ref: ContentRef | None = None
    findings: list[Finding] = []
    """Of the answer."""
    verdict: Verdict = Verdict.ALLOW
    """Of the answer."""
    usage: Usage | None = None
    usage_estimated: bool = False
    """True where the provider gave no usage and tokens were estimated from the text."""
    usd_cost: Decimal | None = None
    """None where the price is not known."""
    price_source: str | None = None
    started_at: datetime
    provider_ms: float
    """Time spent waiting for the provider."""
    time_to_first_token_ms: float | None = None
    error: ErrorRecord | None = None
    repair: Repair | None = None
    """Set where the answer missed its schema and asking again may help."""
    shortages: list[Shortage] = []
    """Budgets that had no room for more: the stream was ended there, and its answer is what had come until then."""
    steps: list[StepTiming] = []
    settled: bool = False
    """True where the attempt's row already holds this outcome."""
    recorded: InvocationResult | None = None
    """Set where the attempt has recorded its invocation's end as well."""


class Begun(BaseModel):
    """Outcome of `begin`: the end, where it has come already; else the decision, and what the first attempt came to."""

    result: InvocationResult | None = None
    """Recorded in Postgres, and with its answer. Nothing else is set then: history need not hold it all twice."""
    decision: Decision | None = None
    outcome: AttemptOutcome | None = None
    failure: ErrorRecord | None = None
    """What the first attempt failed with."""
    retry_after_s: float | None = None
    """Pause before the next attempt at the same deployment; None where only another deployment can help."""


class InvocationStatus(StrEnum):
    ACCEPTED = "accepted"
    RUNNING = "running"
    COMPLETED = "completed"
    BLOCKED = "blocked"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self not in (InvocationStatus.ACCEPTED, InvocationStatus.RUNNING)


class RecordInput(BaseModel):
    """Input of `record`: all that one transaction writes at the end of an invocation."""

    invocation: InvocationInput
    decision: Decision
    outcome: AttemptOutcome | None = None
    status: InvocationStatus
    error: ErrorRecord | None = None


class CloseInput(BaseModel):
    """Input of `close`: an invocation that ended before anything was decided."""

    invocation: InvocationInput
    status: InvocationStatus
    error: ErrorRecord


class InvocationResult(BaseModel):
    """Result of the workflow, and what `GET /api/v1/invocations/{id}` shows."""

    invocation_id: UUID
    organization_id: UUID
    trace_id: str
    fingerprint: str = ""
    """Of the request that this is the answer to: a reused key shows here."""
    status: InvocationStatus
    verdict: Verdict
    findings: list[Finding] = []
    policy_version: str
    deployment_id: str | None = None
    answer: ChatCompletion | None = None
    answer_ref: ContentRef | None = None
    """Set instead of `answer` for answers over 128 KiB: read them at `GET /api/v1/invocations/{id}`."""
    originals_ref: ContentRef | None = None
    """Set where policy restores in the answer what was redacted in the request: the record of it, which is read when
    the answer is handed out. The answer itself is kept with placeholders."""
    usage: Usage | None = None
    usd_cost: Decimal | None = None
    """Sum over all attempts with a known price; None if none has one."""
    attempts: int = 0
    error: ErrorRecord | None = None
    provider_ms: float = 0
    overhead_ms: float | None = None
    steps: list[StepTiming] = []


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("holds the NUL character (\\u0000), which cannot be stored. Remove it")
    return text


class CancelRequest(BaseModel):
    """Why an invocation is cancelled."""

    reason: Annotated[str, Field(max_length=1000), AfterValidator(_storable)] = "cancelled by the caller"
    by: Literal["caller", "disconnect", "operator"] = "caller"


Decision.model_rebuild()
AttemptOutcome.model_rebuild()
Begun.model_rebuild()
