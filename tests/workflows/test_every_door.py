"""The same text gets the same verdict through every door, whole and streamed, in the request and in the answer."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from customhouse.client import CustomhouseClient
from customhouse.contracts.chat import ChatRequest, Json
from customhouse.contracts.errors import CustomhouseError
from tests.doubles.house import Tenant
from tests.doubles.provider import ProviderDouble, stream, whole
from tests.governance.samples import PII, SECRETS

GITHUB = SECRETS["github_token"]
TEXTS = {
    "harmless": ("Tell me about the weather in Lisbon.", "allow"),
    "secret": (f"Keep {GITHUB} for me.", "block"),
    "personal": (f"Write to {PII['email']} and {PII['iban']}.", "redact"),
    "hidden": (f"Keep {base64.b64encode(GITHUB.encode()).decode()} for me.", "block"),
    "invisible": (f"Keep {GITHUB[:9]}\u200b{GITHUB[9:]} for me.", "block"),
}

Door = Callable[[Tenant, Json], Awaitable[object]]


async def chat(tenant: Tenant, body: Json) -> None:
    await tenant.http.post("/v1/chat/completions", json=body)


async def streamed_chat(tenant: Tenant, body: Json) -> None:
    await tenant.http.post("/v1/chat/completions", json={**body, "stream": True})


async def rest(tenant: Tenant, body: Json) -> None:
    await tenant.http.post("/api/v1/invocations", json={"request": body})


async def temporal(tenant: Tenant, body: Json) -> None:
    house = tenant.house
    client = CustomhouseClient(house.parts.temporal, tenant.organization_id, task_queue=house.parts.settings.task_queue)
    with suppress(CustomhouseError):  # what it came to stands in the row
        await client.invoke(ChatRequest.model_validate(body))


async def streamed_temporal(tenant: Tenant, body: Json) -> None:
    house = tenant.house
    client = CustomhouseClient(house.parts.temporal, tenant.organization_id, task_queue=house.parts.settings.task_queue)
    handle = await client.start(ChatRequest.model_validate({**body, "stream": True}))
    with suppress(CustomhouseError):
        async for _ in handle.chunks():
            pass
        await handle.result()


DOORS: dict[str, tuple[Door, bool]] = {
    "chat": (chat, False),
    "streamed chat": (streamed_chat, True),
    "rest": (rest, False),
    "temporal": (temporal, False),
    "streamed temporal": (streamed_temporal, True),
}


def pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


async def outcome(tenant: Tenant) -> dict[str, Any]:
    """What stands of its one invocation: the verdict, and what was found where."""
    (row,) = await tenant.ended()
    found = [(each["check"], each["kind"], each["span"]) for each in row["result"]["findings"]]
    return {"verdict": row["verdict"], "status": row["status"], "found": found}


@pytest.mark.parametrize("name", TEXTS)
async def test_requests(tenant: Tenant, provider: ProviderDouble, name: str) -> None:
    text, verdict = TEXTS[name]
    body: Json = {"model": "solo", "messages": [{"role": "user", "content": text}]}
    outcomes = {}
    for door, (ask, is_streamed) in DOORS.items():
        provider.always(stream("Fine.") if is_streamed else whole("Fine."))
        organization = await tenant.house.tenant()
        await ask(organization, body)
        outcomes[door] = await outcome(organization)
    assert outcomes["chat"]["verdict"] == verdict
    assert all(each == outcomes["chat"] for each in outcomes.values()), outcomes


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_answers(tenant: Tenant, provider: ProviderDouble, name: str, size: int) -> None:
    text, verdict = TEXTS[name]
    body: Json = {"model": "solo", "messages": [{"role": "user", "content": "Say it."}]}
    outcomes = {}
    for door, (ask, is_streamed) in DOORS.items():
        provider.always(stream(*pieces(text, size)) if is_streamed else whole(text))
        organization = await tenant.house.tenant()
        await ask(organization, body)
        outcomes[door] = await outcome(organization)
    assert outcomes["chat"]["verdict"] == verdict
    kinds = [{(check, kind) for check, kind, _ in each["found"]} for each in outcomes.values()]
    assert all(each == kinds[0] for each in kinds), outcomes
    assert all((each["verdict"], each["status"]) == (verdict, outcomes["chat"]["status"]) for each in outcomes.values())
