"""The tables. Money is NUMERIC, times are UTC, ids are UUIDv7, and every row belongs to an organization."""

from customhouse.storage.models.alerts import AlertRow, Feedback
from customhouse.storage.models.base import MONEY, PARTITIONED, Base
from customhouse.storage.models.budgets import Budget, BudgetPeriod, BudgetReservation
from customhouse.storage.models.invocations import ApiKey, Attempt, Content, Invocation, Organization
from customhouse.storage.models.limits import Block, RateLimit
from customhouse.storage.models.logs import (
    AuditLog,
    CodeExecLog,
    EventLog,
    GovernanceEvent,
    ModelCostLog,
    PromptSimLog,
    TraceSpan,
)
from customhouse.storage.models.prompt_vectors import BlockedPrompt, PromptVector, StagedPrompt

__all__ = [
    "MONEY",
    "PARTITIONED",
    "AlertRow",
    "ApiKey",
    "Attempt",
    "AuditLog",
    "Base",
    "Block",
    "BlockedPrompt",
    "Budget",
    "BudgetPeriod",
    "BudgetReservation",
    "CodeExecLog",
    "Content",
    "EventLog",
    "Feedback",
    "GovernanceEvent",
    "Invocation",
    "ModelCostLog",
    "Organization",
    "PromptSimLog",
    "PromptVector",
    "RateLimit",
    "StagedPrompt",
    "TraceSpan",
]
