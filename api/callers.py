"""Who calls, read from the key, the `X-Customhouse-*` headers and the request's metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from api.bodies import validate
from customhouse.contracts.errors import UnprocessableField
from customhouse.contracts.invocation import Caller, Label
from customhouse.storage.keys import Principal

HEADER_FIELDS = {
    "x-customhouse-agent": "agent_id",
    "x-customhouse-user": "user_id",
    "x-customhouse-workflow-execution": "workflow_execution_id",
    "x-customhouse-node": "node_id",
    "x-customhouse-region": "region",
    "x-customhouse-plan": "plan",
    "x-customhouse-on-disconnect": "on_disconnect",
    "x-customhouse-deadline-seconds": "deadline_s",
    "idempotency-key": "idempotency_key",
}
"""Header → field. Each field may also stand in the chat request's `metadata`, under its own name; the header wins."""


class CallOptions(BaseModel):
    """What a caller may say of a call beside the chat request itself."""

    model_config = ConfigDict(extra="forbid")

    agent_id: Label | None = None
    user_id: Label | None = None
    workflow_execution_id: Label | None = None
    node_id: Label | None = None
    region: Label | None = None
    plan: Label | None = None
    on_disconnect: Literal["continue", "cancel"] = "continue"
    """What a hang-up means: the invocation goes on (and can be re-attached to), or is cancelled."""
    deadline_s: float = Field(default=600, gt=0, le=86_400)
    """Seconds from request to answer."""
    idempotency_key: str | None = Field(default=None, min_length=1, max_length=255)


@dataclass(frozen=True, slots=True)
class Metadata:
    """The chat request's metadata, parted into what is ours and what is the caller's own."""

    options: dict[str, str]
    labels: dict[str, str]


def split_metadata(metadata: Mapping[str, str] | None) -> Metadata:
    options: dict[str, str] = {}
    labels: dict[str, str] = {}
    for name, value in (metadata or {}).items():
        (options if name in CallOptions.model_fields else labels)[name] = value
    return Metadata(options, labels)


def read_options(headers: Mapping[str, str], metadata: Mapping[str, str]) -> CallOptions:
    """Raises UnprocessableField naming the header or metadata field that is wrong."""
    values: dict[str, object] = dict(metadata)
    for header, field in HEADER_FIELDS.items():
        if header in headers:
            values[field] = headers[header]
    if not values:
        return CallOptions()
    try:
        return validate(CallOptions, values)
    except UnprocessableField as error:
        wrong = next((h for h, f in HEADER_FIELDS.items() if f == error.param and h in headers), None)
        if wrong is None:
            raise
        raise UnprocessableField(f"Header {wrong}: {error.message}", param=wrong) from error


def caller_of(principal: Principal, options: CallOptions, fallback_user: str | None = None) -> Caller:
    return Caller(
        organization_id=principal.organization_id,
        key_id=principal.key_id,
        agent_id=options.agent_id,
        user_id=options.user_id or fallback_user,
        workflow_execution_id=options.workflow_execution_id,
        node_id=options.node_id,
        region=options.region,
        plan=options.plan,
    )
