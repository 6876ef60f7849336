"""What no invocation begins with: each is a 4xx that names the field and the mend, and shows nothing of our inside."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from urllib.parse import urlsplit

import httpx
import openai
import orjson
import pytest

from api.bodies import MAX_DEPTH
from api.invoker import Ask
from customhouse.contracts.chat import ChatRequest, Json
from customhouse.contracts.errors import PayloadTooLarge
from customhouse.contracts.invocation import Caller
from tests.doubles.house import Tenant
from tests.doubles.provider import ProviderDouble

HELLO: Any = [{"role": "user", "content": "Say hello."}]
BODY: Json = {"model": "solo", "messages": HELLO}
DOORS = ["/v1/chat/completions", "/api/v1/invocations"]


def raw(change: str) -> bytes:
    """A request whose message is written as it is, escapes and all."""
    return b'{"model": "solo", "messages": [{"role": "user", "content": "' + change.encode() + b'"}]}'


def nested(depth: int) -> bytes:
    return (
        b'{"model": "solo", "messages": [{"role": "user", "content": "x"}], "extra": '
        + b"[" * depth
        + b"]" * depth
        + b"}"
    )


async def refused(tenant: Tenant, provider: ProviderDouble, response: httpx.Response, status: int) -> Json:
    assert response.status_code == status, response.text
    assert "Traceback" not in response.text
    assert provider.calls == []
    assert await tenant.invocations() == []
    body: Json = response.json()
    error: Json = body.get("error", body)
    assert error.get("message", error.get("detail"))
    return error


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "empty"),
        (b"   ", "empty"),
        (b"{", "not valid JSON"),
        (b"hello", "not valid JSON"),
        (b"\xff\xfe\x00", "not valid JSON"),
        (b'{"model": NaN}', "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b"7", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (raw("\\ud800"), "not valid JSON"),
        (raw("\\udc00 alone"), "not valid JSON"),
        (nested(5_000), "not valid JSON"),
        (b"[" * 200_000, "not valid JSON"),
    ],
    ids=lambda _: None,
)
async def test_not_a_json_object(tenant: Tenant, provider: ProviderDouble, door: str, body: bytes, said: str) -> None:
    error = await refused(tenant, provider, await tenant.http.post(door, content=body), 400)
    assert said in str(error.get("message", error.get("detail")))
    assert error["param"] == "body"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 7}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"content": "no role"}]}, "messages.0.role"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages.0.content"),
        ({"messages": [*HELLO, "hi"]}, "messages.1"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 9}, "temperature"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"n": 0}, "n"),
        ({"n": 1000}, "n"),
        ({"stream": "perhaps"}, "stream"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"metadata": {f"label {number}": "x" for number in range(17)}}, "metadata"),
        ({"metadata": {"k" * 65: "x"}}, "metadata"),
        ({"metadata": {"k" * 3_000_000: "x"}}, "metadata"),
        ({"metadata": {"label": "x" * 513}}, "metadata.label"),
        ({"metadata": {"region": ""}}, "region"),
        ({"metadata": {"deadline_s": "soon"}}, "deadline_s"),
        ({"tools": {}}, "tools"),
        ({"messages": [{"role": "user", "content": "nul \x00 inside"}]}, "messages.0.content"),
        ({"user": "\x00"}, "user"),
    ],
)
async def test_the_wrong_field_is_named(tenant: Tenant, provider: ProviderDouble, change: Json, param: str) -> None:
    error = await refused(tenant, provider, await tenant.http.post(DOORS[0], json={**BODY, **change}), 422)
    assert error["code"] == "invalid_field"
    assert error["param"].startswith(param)
    assert param in error["message"]
    assert len(error["message"]) < 1_000


async def test_metadata_up_to_its_limits(tenant: Tenant) -> None:
    labels = {f"{number:064}": "x" * 512 for number in range(16)}
    response = await tenant.http.post(DOORS[0], json={**BODY, "metadata": labels})
    assert response.status_code == 200, response.text
    (row,) = await tenant.invocations()
    assert row["labels"] == labels


@pytest.mark.parametrize("size", [3_000_000, 6_000_000])
async def test_what_is_too_large_for_temporal_is_not_called_an_outage(tenant: Tenant, size: int) -> None:
    """The doors let nothing so large into history; this asks behind them."""
    chat = ChatRequest.model_validate({**BODY, "user": None, "extra": "x" * size})
    ask = Ask(chat, Caller(organization_id=tenant.organization_id), received_at=time.time(), size_bytes=0)
    with pytest.raises(PayloadTooLarge):
        async with tenant.house.app.state.doors.invoker.run(ask, traceparent=None):
            pass


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x-customhouse-agent", ""),
        ("x-customhouse-agent", "a" * 300),
        ("x-customhouse-deadline-seconds", "soon"),
        ("x-customhouse-deadline-seconds", "-1"),
        ("x-customhouse-deadline-seconds", "nan"),
        ("x-customhouse-on-disconnect", "explode"),
        ("idempotency-key", ""),
        ("idempotency-key", "k" * 256),
    ],
)
async def test_the_wrong_header_is_named(tenant: Tenant, provider: ProviderDouble, header: str, value: str) -> None:
    response = await tenant.http.post(DOORS[0], json=BODY, headers={header: value})
    error = await refused(tenant, provider, response, 422)
    assert error["param"] == header
    assert header in error["message"]


async def test_nesting_is_passed_on_up_to_a_depth(tenant: Tenant, provider: ProviderDouble) -> None:
    for depth in (MAX_DEPTH + 1, 250, 1_000):
        error = await refused(tenant, provider, await tenant.http.post(DOORS[0], content=nested(depth)), 422)
        assert error["param"] == "extra"
        assert str(MAX_DEPTH) in error["message"]
    response = await tenant.http.post(DOORS[0], content=nested(MAX_DEPTH))
    assert response.status_code == 200
    assert provider.calls[0].body["extra"] == orjson.loads(nested(MAX_DEPTH))["extra"]


async def test_a_number_that_no_integer_type_holds(tenant: Tenant, provider: ProviderDouble) -> None:
    body = orjson.dumps(BODY)[:-1] + b', "seed": 1' + b"0" * 30 + b"}"
    response = await tenant.http.post(DOORS[0], content=body)
    assert response.status_code in (200, 400, 422), response.text
    assert (response.status_code == 200) is bool(provider.calls)


class TestTooLarge:
    @pytest.mark.parametrize("door", DOORS)
    async def test_a_declared_length_is_refused_unread(self, tenant: Tenant, door: str) -> None:
        """The refusal comes before the body has been sent."""
        place = urlsplit(tenant.house.url)
        head = (
            f"POST {door} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {tenant.secret}\r\n"
            f"content-type: application/json\r\ncontent-length: {50 * 10**6}\r\n\r\n"
        )
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        writer.write(head.encode())
        status = await asyncio.wait_for(reader.readline(), 20)
        writer.close()
        await writer.wait_closed()
        assert b" 413 " in status
        assert await tenant.invocations() == []

    async def test_one_that_is_sent_whole(self, tenant: Tenant, provider: ProviderDouble) -> None:
        body = orjson.dumps({**BODY, "messages": [{"role": "user", "content": "x" * 21_000_000}]})
        response = await tenant.http.post(DOORS[0], content=body)
        error = await refused(tenant, provider, response, 413)
        assert "CUSTOMHOUSE_MAX_BODY_MB" in error["message"]

    async def test_one_of_undeclared_length(self, tenant: Tenant, provider: ProviderDouble) -> None:
        async def pieces() -> Any:
            for _ in range(25):
                yield b" " * 1_000_000

        error = await refused(tenant, provider, await tenant.http.post(DOORS[0], content=pieces()), 413)
        assert error["code"] == "payload_too_large"


async def test_a_prompt_over_the_policys_limit_is_blocked_with_a_row(tenant: Tenant, provider: ProviderDouble) -> None:
    with pytest.raises(openai.PermissionDeniedError) as caught:
        await tenant.openai.chat.completions.create(
            model="solo", messages=[{"role": "user", "content": "x " * 600_000}]
        )
    assert caught.value.code == "blocked_by_policy"
    assert provider.calls == []
    (row,) = await tenant.invocations()
    assert row["status"] == "blocked"


async def test_an_unknown_path_and_a_wrong_method(tenant: Tenant) -> None:
    response = await tenant.http.get("/v1/chat/completions")
    assert response.status_code == 405
    assert response.json()["error"]["message"]
    for path in ("/v1/nothing", "/api/v1/nothing", "/nothing"):
        response = await tenant.http.get(path)
        assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
