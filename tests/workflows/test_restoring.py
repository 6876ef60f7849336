"""What was redacted in a request comes back in its answer, on every way out, and stands nowhere in the clear."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text as sql

from customhouse.contracts.errors import ConfigurationError
from tests.doubles.house import House, Tenant, running_house
from tests.doubles.provider import ProviderDouble, calling_tool, stream, whole
from tests.doubles.sse import text_of
from workers.inspection import inspector_of
from workers.settings import load_settings

EMAIL = "bob.the-builder@acme.io"
KEY = base64.b64encode(bytes(range(32))).decode()


@pytest.fixture
async def tenant(
    database_url: str, temporal_address: str, task_queue: str, provider: ProviderDouble
) -> AsyncIterator[Tenant]:
    async with running_house(
        database_url, temporal_address, provider, task_queue, encryption_key=KEY, pii_restore=True
    ) as house:
        yield await house.tenant()


def asking(**more: Any) -> dict[str, Any]:
    return {"model": "solo", "messages": [{"role": "user", "content": f"Write to {EMAIL}."}], **more}


async def stored(house: House) -> str:
    """Every row of every table, as text."""
    async with house.parts.engine.connect() as connection:
        tables = await connection.execute(sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
        found = [await connection.execute(sql(f'SELECT t::text FROM "{table}" t')) for (table,) in tables]
    return "\n".join(row for rows in found for (row,) in rows)


@pytest.mark.parametrize("model", ["solo", "slow"])
async def test_an_answer_tells_what_the_request_said(tenant: Tenant, provider: ProviderDouble, model: str) -> None:
    provider.always(whole("I wrote to <EMAIL_1>, not to <EMAIL_2>."))
    headers = {"idempotency-key": "one"}
    answers = [
        (await tenant.http.post("/v1/chat/completions", json=asking(model=model), headers=headers)).json()
        for _ in range(2)
    ]
    for answer in answers:
        assert answer["choices"][0]["message"]["content"] == f"I wrote to {EMAIL}, not to <EMAIL_2>."
    (call,) = provider.calls
    assert call.prompt == "Write to <EMAIL_1>."
    kept = await stored(tenant.house)
    assert "<EMAIL_1>" in kept
    assert EMAIL not in kept


async def test_tool_calls_stay_json(tenant: Tenant, provider: ProviderDouble) -> None:
    provider.always(calling_tool("mail", '{"to": "<EMAIL_1>"}'))
    answer = await tenant.openai.chat.completions.create(**asking())
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.arguments == f'{{"to": "{EMAIL}"}}'


async def test_a_stream_tells_it_too(tenant: Tenant, provider: ProviderDouble) -> None:
    provider.always(stream("I wrote ", "to <EMA", "IL_1", ">. ", "It was a long letter. " * 20))
    said = ""
    async for chunk in await tenant.openai.chat.completions.create(**asking(), stream=True):
        said += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    assert said.startswith(f"I wrote to {EMAIL}. It was")
    kept = await stored(tenant.house)
    assert "<EMAIL_1>" in kept
    assert EMAIL not in kept


def test_without_a_key_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUSTOMHOUSE_PII_RESTORE", "true")
    with pytest.raises(ConfigurationError, match="needs CUSTOMHOUSE_ENCRYPTION_KEY"):
        inspector_of(load_settings(), os.environ)


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_what_the_answer_itself_names_stays_redacted(
    tenant: Tenant, provider: ProviderDouble, *, is_streamed: bool
) -> None:
    """It is somebody else: put back, the request's address would stand where theirs was."""
    said = "Not <EMAIL_1> but carol@helpdesk.example.net can help. "
    provider.always(stream(said, "Ask again. " * 20) if is_streamed else whole(said))
    response = await tenant.http.post("/v1/chat/completions", json=asking(stream=is_streamed))
    if is_streamed:
        lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: {")]
        text = text_of([json.loads(line) for line in lines])
    else:
        text = response.json()["choices"][0]["message"]["content"]
    assert text.startswith(f"Not {EMAIL} but <EMAIL_2> can help. ")
