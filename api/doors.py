"""What routes are given: the parts of the process, made by the composition root and found on the application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request
from temporalio.converter import PayloadCodec

from activities.block_book import BlockBook
from activities.content import ContentAccess
from activities.limiter import Limiter
from activities.similarity import SimilarityStep
from api.auth import Authenticator
from api.client_address import ClientAddresses
from api.gate import address_of
from api.invoker import Invoker
from customhouse.contracts.catalog import Catalog
from customhouse.integrations.telemetry import Telemetry
from customhouse.storage.alerts import Alerts
from customhouse.storage.blocks import Blocks
from customhouse.storage.budgets import Budgets
from customhouse.storage.cost_logs import CostLogs
from customhouse.storage.feedback import FeedbackMarks
from customhouse.storage.invocations import Invocations
from customhouse.storage.keys import Principal, Role
from customhouse.storage.limits import Limits
from customhouse.storage.similarity_logs import SimilarityLogs

Probe = Callable[[], Awaitable[str | None]]
"""Asks one part whether it can serve: None if so, else what is wrong."""


@dataclass(frozen=True, slots=True)
class Doors:
    authenticator: Authenticator
    invoker: Invoker
    invocations: Invocations
    cost_logs: CostLogs
    content: ContentAccess
    catalog: Catalog
    telemetry: Telemetry
    probes: Mapping[str, Probe]
    max_body_bytes: int
    codec: PayloadCodec | None
    """Decrypts history for the Temporal Web UI; None where history is not encrypted."""
    organization_id: UUID
    """The installation's own: history is every organization's, so only its operators decrypt it."""
    temporal_ui_url: str | None
    temporal_namespace: str
    alerts: Alerts
    budgets: Budgets
    feedback: FeedbackMarks
    addresses: ClientAddresses
    block_book: BlockBook
    blocks: Blocks
    limiter: Limiter
    limits: Limits
    similarity_logs: SimilarityLogs
    similarity: SimilarityStep


async def doors_of(request: Request) -> Doors:  # async: FastAPI runs plain functions in a thread
    doors = request.app.state.doors
    assert isinstance(doors, Doors)  # noqa: S101 - set by create_app, which is typed
    return doors


TheDoors = Annotated[Doors, Depends(doors_of)]


async def _member(request: Request, doors: TheDoors) -> Principal:
    return _unless_blocked(request, doors, await doors.authenticator.authenticate(request))


Member = Annotated[Principal, Depends(_member)]


def _unless_blocked(request: Request, doors: Doors, principal: Principal) -> Principal:
    """Raises Blocked where the organization refuses the key or the address."""
    doors.block_book.check_key(principal.organization_id, principal.key_id, address_of(request))
    return principal


async def _operator(request: Request, doors: TheDoors) -> Principal:
    return _unless_blocked(request, doors, await doors.authenticator.authenticate(request, Role.OPERATOR))


Operator = Annotated[Principal, Depends(_operator)]
