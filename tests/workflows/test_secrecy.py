"""What Temporal gets to see: nothing large, and with a key nothing in the clear; and how operators read it anyway."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.client import WorkflowHandle

from customhouse.contracts.chat import Json
from customhouse.contracts.limits import CLAIM_CHECK_BYTES
from customhouse.storage.keys import Role
from tests.doubles.house import House, Tenant, running_house, until
from tests.doubles.provider import ProviderDouble, failure, stream, whole
from tests.doubles.sse import reading

ASKED, ANSWERED = "askedmarker", "answeredmarker"
UI = "http://127.0.0.1:8233"
SLACK = 16 * 1024
"""What else an event holds besides its largest content."""


@pytest.fixture(params=[False, True], ids=["plain", "encrypted"])
async def one(
    request: pytest.FixtureRequest,
    database_url: str,
    temporal_address: str,
    task_queue: str,
    provider: ProviderDouble,
) -> AsyncIterator[House]:
    key = base64.b64encode(bytes(range(32))).decode() if request.param else None
    async with running_house(
        database_url, temporal_address, provider, task_queue, encryption_key=key, temporal_ui_url=UI
    ) as running:
        yield running


async def history_of(house: House, tenant: Tenant) -> list[bytes]:
    """Of its one workflow, when it is whole: the answer leaves before the workflow is closed."""
    (row,) = await tenant.invocations()
    handle = house.parts.temporal.get_workflow_handle(row["workflow_id"])
    await until(lambda: _is_closed(handle))
    history = await handle.fetch_history()
    return [event.SerializeToString() for event in history.events]


async def _is_closed(handle: WorkflowHandle[Any, Any]) -> bool:
    return (await handle.describe()).close_time is not None


def chat(prompt: str, model: str, **more: object) -> Json:
    return {"model": model, "messages": [{"role": "user", "content": prompt}], **more}


@pytest.mark.parametrize("model", ["solo", "slow"])
async def test_large_content_stays_out_of_history(one: House, provider: ProviderDouble, model: str) -> None:
    tenant = await one.tenant()
    prompt = f"{ASKED} " + "many words " * 28_000
    answer = f"{ANSWERED} " + "more words " * 28_000
    provider.will(whole(answer))
    response = await tenant.http.post(
        "/v1/chat/completions", json=chat(prompt, model), headers={"idempotency-key": "large"}
    )
    assert response.status_code == 200, response.text
    assert response.json()["choices"][0]["message"]["content"] == answer
    assert provider.calls[0].prompt == prompt
    events = await history_of(one, tenant)
    assert max(map(len, events)) < CLAIM_CHECK_BYTES + SLACK
    assert all(ASKED.encode() not in event and ANSWERED.encode() not in event for event in events)
    contents = await tenant.rows("SELECT * FROM contents WHERE organization_id = :organization_id")
    assert len(contents) == 2
    encrypted = one.parts.keys is not None
    for content in contents:
        assert content["encrypted"] is encrypted
        held = ASKED.encode() in content["body"] or ANSWERED.encode() in content["body"]
        assert held is not encrypted
    again = await tenant.http.post(
        "/v1/chat/completions", json=chat(prompt, model), headers={"idempotency-key": "large"}
    )
    assert again.json() == response.json()
    identity = response.headers["x-customhouse-invocation-id"]
    shown = (await tenant.http.get(f"/api/v1/invocations/{identity}")).json()
    assert shown["answer"]["choices"][0]["message"]["content"] == answer


async def test_a_large_answer_is_streamed(one: House, provider: ProviderDouble) -> None:
    tenant = await one.tenant()
    words = [f"word{number} " * 40 for number in range(700)]
    provider.will(stream(*words))
    async with reading(tenant.http, "POST", "/v1/chat/completions", json=chat("x", "solo", stream=True)) as events:
        await events.read()
        identity = events.response.headers["x-customhouse-invocation-id"]
    assert events.text == "".join(words)
    async with reading(tenant.http, "GET", f"/api/v1/invocations/{identity}/stream") as again:
        await again.read()
    assert again.text == "".join(words)
    assert max(map(len, await history_of(one, tenant))) < CLAIM_CHECK_BYTES + SLACK


@pytest.mark.parametrize("model", ["solo", "slow"])
async def test_with_a_key_history_holds_no_content(one: House, provider: ProviderDouble, model: str) -> None:
    tenant = await one.tenant()
    provider.will(whole(f"It is {ANSWERED}."))
    response = await tenant.http.post("/v1/chat/completions", json=chat(f"Tell me {ASKED}.", model))
    assert response.status_code == 200
    events = b"".join(await history_of(one, tenant))
    in_the_clear = one.parts.keys is None
    assert (ASKED.encode() in events) is in_the_clear
    assert (ANSWERED.encode() in events) is in_the_clear


async def test_a_failure_in_history_is_encrypted_too(one: House, provider: ProviderDouble) -> None:
    tenant = await one.tenant()
    provider.will(failure(400, f"no {ANSWERED}"))
    response = await tenant.http.post("/v1/chat/completions", json=chat("x", "slow"))
    assert response.status_code == 400
    assert (ANSWERED.encode() in b"".join(await history_of(one, tenant))) is (one.parts.keys is None)


class TestCodecEndpoint:
    async def test_operators_read_what_members_cannot(self, one: House) -> None:
        member = await one.tenant()
        operator = await one.operator()
        await member.http.post("/v1/chat/completions", json=chat(f"Tell me {ASKED}.", "solo"))
        (row,) = await member.invocations()
        history = await one.parts.temporal.get_workflow_handle(row["workflow_id"]).fetch_history()
        payloads = history.events[0].workflow_execution_started_event_attributes.input
        body = MessageToDict(Payloads(payloads=list(payloads.payloads)))
        assert (await member.http.post("/api/v1/codec/decode", json=body)).status_code == 403
        their_operator = await one.tenant(Role.OPERATOR, of=member)
        refused = await their_operator.http.post("/api/v1/codec/decode", json=body)
        assert refused.status_code == 403
        assert "CUSTOMHOUSE_ORGANIZATION" in refused.json()["detail"]
        signed_in = await their_operator.http.post("/api/v1/codec/session", data={"key": their_operator.secret})
        assert signed_in.status_code == 403
        assert "set-cookie" not in signed_in.headers
        answer = await operator.http.post("/api/v1/codec/decode", json=body)
        if one.parts.keys is None:
            assert answer.status_code == 404
            return
        assert answer.status_code == 200
        (decoded,) = answer.json()["payloads"]
        assert ASKED in base64.b64decode(decoded["data"]).decode()
        encoded = await operator.http.post("/api/v1/codec/encode", json=answer.json())
        assert ASKED not in base64.b64decode(encoded.json()["payloads"][0]["data"]).decode(errors="replace")

    async def test_what_it_cannot_decode_is_named(self, one: House) -> None:
        operator = await one.operator()
        garbage = Payload(metadata={"encoding": b"binary/encrypted", "encryption-key-id": b"other"}, data=b"x")
        bodies: list[Any] = [MessageToDict(Payloads(payloads=[garbage])), {"payloads": 7}, []]
        for body in bodies:
            answer = await operator.http.post("/api/v1/codec/decode", json=body)
            assert answer.status_code == (404 if one.parts.keys is None else 422), answer.text

    @pytest.mark.parametrize(("origin", "allowed"), [(UI, True), ("https://evil.example", False)])
    async def test_only_the_web_ui_may_ask_from_a_browser(self, one: House, origin: str, allowed: bool) -> None:
        operator = await one.operator()
        asked = {"origin": origin, "access-control-request-method": "POST"}
        preflight = await operator.http.options("/api/v1/codec/decode", headers=asked)
        assert preflight.status_code == 204
        assert preflight.headers.get("access-control-allow-origin") == (origin if allowed else None)
        answer = await operator.http.post("/api/v1/codec/decode", json={"payloads": []}, headers={"origin": origin})
        if one.parts.keys is not None:
            assert answer.headers.get("access-control-allow-origin") == (origin if allowed else None)
