"""Workflows started over Temporal with what no door would have let in: they fail at once, and say why."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError

from customhouse.client import CustomhouseClient, invocation_input
from customhouse.contracts.chat import ChatRequest
from customhouse.contracts.errors import CustomhouseError, NotFound, PayloadTooLarge, UnknownModel
from customhouse.contracts.invocation import Caller
from tests.doubles.house import House, Tenant
from tests.doubles.provider import ProviderDouble

pytestmark = pytest.mark.filterwarnings("ignore:coroutine .*run_workflow.* was never awaited:RuntimeWarning")
"""The SDK makes the coroutine before it decodes the arguments, and drops it where that fails."""

REQUEST = ChatRequest.model_validate({"model": "solo", "messages": [{"role": "user", "content": "Say hello."}]})


@pytest.fixture(autouse=True)
def _dropped_here() -> Iterator[None]:
    """So that it is dropped while the warning is still ignored."""
    yield
    gc.collect()


def client_of(house: House, organization: Any) -> CustomhouseClient:
    return CustomhouseClient(house.parts.temporal, organization, task_queue=house.parts.settings.task_queue)


@pytest.mark.parametrize(
    "garbage",
    [{"nonsense": 1}, "text", None, [], {"invocation_id": "not-a-uuid"}, b"bytes"],
    ids=["object", "text", "null", "list", "id", "bytes"],
)
async def test_input_that_is_none_of_ours(house: House, garbage: Any) -> None:
    handle = await house.parts.temporal.start_workflow(
        "GovernedInvocation", garbage, id=f"garbage-{uuid4()}", task_queue=house.parts.settings.task_queue
    )
    async with asyncio.timeout(20):
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    events = (await handle.fetch_history()).events
    assert not any(event.HasField("workflow_task_failed_event_attributes") for event in events)


async def test_no_input_at_all(house: House) -> None:
    handle = await house.parts.temporal.start_workflow(
        "GovernedInvocation", id=f"garbage-{uuid4()}", task_queue=house.parts.settings.task_queue
    )
    async with asyncio.timeout(20):
        with pytest.raises(WorkflowFailureError):
            await handle.result()


async def test_an_unknown_organization(house: House, provider: ProviderDouble) -> None:
    stranger = uuid4()
    with pytest.raises(NotFound, match=str(stranger)):
        await client_of(house, stranger).invoke(REQUEST)
    assert provider.calls == []


async def test_an_unknown_model(house: House, tenant: Tenant) -> None:
    with pytest.raises(UnknownModel, match="gpt-9"):
        await client_of(house, tenant.organization_id).invoke(REQUEST.model_copy(update={"model": "gpt-9"}))
    (row,) = await tenant.invocations()
    assert row["status"] == "failed"


async def test_a_request_by_a_reference_that_leads_nowhere(house: House, tenant: Tenant) -> None:
    invocation = invocation_input(REQUEST, Caller(organization_id=tenant.organization_id))
    broken = invocation.model_dump(mode="json") | {
        "request": None,
        "request_ref": {"content_id": str(uuid4()), "size_bytes": 1},
    }
    handle = await house.parts.temporal.start_workflow(
        "GovernedInvocation", broken, id=f"garbage-{uuid4()}", task_queue=house.parts.settings.task_queue
    )
    async with asyncio.timeout(20):
        with pytest.raises(WorkflowFailureError) as caught:
            await handle.result()
    assert isinstance(caught.value.cause, ApplicationError)
    assert caught.value.cause.type == "not_found"


async def test_a_nul_character(house: House, tenant: Tenant) -> None:
    """Postgres's text cannot hold one; the API refuses it, but a Temporal client may send it."""
    request = ChatRequest.model_validate({"model": "solo", "messages": [{"role": "user", "content": "a\x00b"}]})
    async with asyncio.timeout(20):
        result = await client_of(house, tenant.organization_id).invoke(request)
    assert result.answer is not None
    with pytest.raises(CustomhouseError):
        async with asyncio.timeout(20):
            await client_of(house, tenant.organization_id).invoke(REQUEST, agent_id="a\x00b")


async def test_what_does_not_fit_into_history(house: House, tenant: Tenant) -> None:
    request = ChatRequest.model_validate({"model": "solo", "messages": [{"role": "user", "content": "x" * 1_600_000}]})
    with pytest.raises(PayloadTooLarge, match="POST /api/v1/invocations"):
        await client_of(house, tenant.organization_id).invoke(request)
