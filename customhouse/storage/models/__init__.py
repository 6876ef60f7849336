"""The tables. Money is NUMERIC, times are UTC, ids are UUIDv7, and every row belongs to an organization."""

from customhouse.storage.models.base import MONEY, PARTITIONED, Base
from customhouse.storage.models.invocations import ApiKey, Attempt, Content, Invocation, Organization
from customhouse.storage.models.logs import (
    AuditLog,
    CodeExecLog,
    EventLog,
    GovernanceEvent,
    ModelCostLog,
    PromptSimLog,
    TraceSpan,
)

__all__ = [
    "MONEY",
    "PARTITIONED",
    "ApiKey",
    "Attempt",
    "AuditLog",
    "Base",
    "CodeExecLog",
    "Content",
    "EventLog",
    "GovernanceEvent",
    "Invocation",
    "ModelCostLog",
    "Organization",
    "PromptSimLog",
    "TraceSpan",
]
