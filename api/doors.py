"""What routes are given: the parts of the process, made by the composition root and found on the application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request
from temporalio.converter import PayloadCodec

from activities.content import ContentAccess
from api.auth import Authenticator
from api.invoker import Invoker
from customhouse.contracts.catalog import Catalog
from customhouse.integrations.telemetry import Telemetry
from customhouse.storage.cost_logs import CostLogs
from customhouse.storage.invocations import Invocations
from customhouse.storage.keys import Principal

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


async def doors_of(request: Request) -> Doors:  # async: FastAPI runs plain functions in a thread
    doors = request.app.state.doors
    assert isinstance(doors, Doors)  # noqa: S101 - set by create_app, which is typed
    return doors


TheDoors = Annotated[Doors, Depends(doors_of)]


async def _member(request: Request, doors: TheDoors) -> Principal:
    return await doors.authenticator.authenticate(request)


Member = Annotated[Principal, Depends(_member)]
