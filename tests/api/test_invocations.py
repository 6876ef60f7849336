"""`/api/v1/invocations`: made, waited for or not, listed in pages, read, followed, cancelled."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from activities.live import LiveInvocation
from api.invoker import Running
from customhouse.client import invocation_input
from customhouse.contracts.chat import ChatRequest, Json
from customhouse.contracts.governance import Verdict
from customhouse.contracts.identity import workflow_id
from customhouse.contracts.invocation import Caller, InvocationResult, InvocationStatus
from tests.doubles.house import CALL_USD, Tenant, until
from tests.doubles.provider import ProviderDouble, after, failure, hello, whole
from tests.governance.samples import SECRETS

HELLO: Any = [{"role": "user", "content": "Say hello."}]


def asked(model: str = "solo", **more: Any) -> Json:
    return {"request": {"model": model, "messages": HELLO}, **more}


def is_problem(response: Any, status: int, code: str) -> Json:
    """RFC 9457, with our code."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: Json = response.json()
    assert body["type"] == "about:blank"
    assert (body["status"], body["code"]) == (status, code)
    assert body["title"]
    assert body["detail"]
    assert body["instance"] == response.request.url.path
    return body


class TestMaking:
    async def test_waiting_for_the_answer(self, tenant: Tenant) -> None:
        response = await tenant.http.post("/api/v1/invocations", json=asked(agent_id="bot", wait=True))
        assert response.status_code == 200
        body = response.json()
        assert body["status"] == "completed"
        assert body["answer"]["choices"][0]["message"]["content"] == "Hello there."
        assert Decimal(body["usd_cost"]) == Decimal(CALL_USD)
        assert response.headers["x-customhouse-invocation-id"] == body["invocation_id"]
        (row,) = await tenant.invocations()
        assert row["agent_id"] == "bot"

    @pytest.mark.parametrize(
        ("wait", "headers"),
        [(False, {}), (True, {"prefer": "respond-async"}), (True, {"prefer": "respond-async, wait=5"})],
    )
    async def test_not_waiting(
        self, tenant: Tenant, provider: ProviderDouble, wait: bool, headers: dict[str, str]
    ) -> None:
        gate = asyncio.Event()
        provider.will(after(gate, hello))
        response = await tenant.http.post("/api/v1/invocations", json=asked(wait=wait), headers=headers)
        assert response.status_code == 202
        body = response.json()
        assert body["status"] == "running"
        assert response.headers["location"] == body["location"] == f"/api/v1/invocations/{body['invocation_id']}"
        await until(lambda: bool(provider.calls))
        shown = (await tenant.http.get(body["location"])).json()
        assert (shown["status"], shown["answer"]) == ("running", None)
        gate.set()
        await tenant.ended()
        shown = (await tenant.http.get(body["location"])).json()
        assert shown["status"] == "completed"
        assert shown["answer"]["choices"][0]["message"]["content"] == "Hello there."

    async def test_headers_win_over_the_body(self, tenant: Tenant) -> None:
        await tenant.http.post(
            "/api/v1/invocations",
            json=asked(agent_id="body", node_id="body", plan="free"),
            headers={"x-customhouse-agent": "header", "x-customhouse-user": "u"},
        )
        (row,) = await tenant.invocations()
        named = ("agent_id", "node_id", "plan", "user_id")
        assert [row[name] for name in named] == ["header", "body", "free", "u"]

    async def test_a_blocked_one_is_a_problem(self, tenant: Tenant) -> None:
        body = {"request": {"model": "solo", "messages": [{"role": "user", "content": SECRETS["npm_token"]}]}}
        is_problem(await tenant.http.post("/api/v1/invocations", json=body), 403, "blocked_by_policy")

    async def test_a_stream_that_began_anew_is_waited_for(self) -> None:
        """Its worker died and another one makes a second attempt: that matters to readers of chunks alone."""
        live = LiveInvocation(uuid4())
        running = Running(uuid4(), live.invocation_id, "workflow", replayed=False, start_ms=0.0, live=live)
        waiting = asyncio.create_task(running.result())
        for attempt in (1, 2):
            live.take(attempt, [{"choices": []}], verdict=Verdict.ALLOW, waited_ms=0.0)
            await asyncio.sleep(0)
        live.result = InvocationResult(
            invocation_id=live.invocation_id,
            organization_id=running.organization_id,
            trace_id=live.invocation_id.hex,
            status=InvocationStatus.COMPLETED,
            verdict=Verdict.ALLOW,
            policy_version="1",
        )
        live.notify()
        assert await waiting is live.result

    async def test_a_failed_one_is_a_problem(self, tenant: Tenant, provider: ProviderDouble) -> None:
        provider.always(failure(404, code="model_not_found"))
        problem = is_problem(await tenant.http.post("/api/v1/invocations", json=asked()), 502, "invocation_failed")
        assert "Every deployment" in problem["detail"]

    @pytest.mark.parametrize(
        ("change", "param"),
        [
            ({"request": None}, "request"),
            ({"request": {"model": "solo"}}, "request.messages"),
            ({"request": {"model": "solo", "messages": []}}, "request.messages"),
            ({"request": {"model": "solo", "messages": HELLO, "max_tokens": -1}}, "request.max_tokens"),
            ({"wiat": True}, "wiat"),
            ({"deadline_s": 0}, "deadline_s"),
            ({"on_disconnect": "explode"}, "on_disconnect"),
            ({"idempotency_key": "x" * 256}, "idempotency_key"),
        ],
    )
    async def test_the_wrong_field_is_named(self, tenant: Tenant, change: Json, param: str) -> None:
        response = await tenant.http.post("/api/v1/invocations", json={**asked(), **change})
        problem = is_problem(response, 422, "invalid_field")
        assert problem["param"] == param
        assert param in problem["detail"]


class TestCancelling:
    async def test_a_reason_that_cannot_be_stored(self, tenant: Tenant) -> None:
        path = f"/api/v1/invocations/{uuid4()}/cancel"
        problem = is_problem(await tenant.http.post(path, json={"reason": "a\x00b"}), 422, "invalid_field")
        assert problem["param"] == "reason"
        assert "NUL" in problem["detail"]

    async def test_one_whose_workflow_is_gone(self, tenant: Tenant) -> None:
        """It was accepted, and Temporal knows nothing of it."""
        invocation = invocation_input(
            ChatRequest.model_validate(asked()["request"]), Caller(organization_id=tenant.organization_id)
        )
        await tenant.house.parts.ledger.accept(
            invocation, workflow_id(tenant.organization_id, invocation.idempotency_key)
        )
        path = f"/api/v1/invocations/{invocation.invocation_id}/cancel"
        assert (await tenant.http.post(path)).status_code == 202
        (row,) = await tenant.ended()
        assert row["status"] == "failed"
        is_problem(await tenant.http.post(path), 409, "conflict")


class TestReading:
    async def test_all_that_is_recorded(self, tenant: Tenant, provider: ProviderDouble) -> None:
        provider.will(failure(500), whole("At last."))
        made = await tenant.http.post("/api/v1/invocations", json=asked())
        identity = made.json()["invocation_id"]
        shown = (await tenant.http.get(f"/api/v1/invocations/{identity}")).json()
        assert shown["request"]["messages"] == HELLO
        assert shown["decision"]["route"][0]["deployment_id"] == "solo@mock@eu"
        assert [attempt["status"] for attempt in shown["attempts"]] == ["failed", "succeeded"]
        assert shown["attempts"][0]["error"]["provider_status"] == 500
        assert shown["answer"]["choices"][0]["message"]["content"] == "At last."
        assert shown["trace_id"] == identity.replace("-", "")
        assert shown["temporal_url"].startswith("http://127.0.0.1:8233/namespaces/default/workflows/")
        assert Decimal(shown["usd_cost"]) == Decimal(CALL_USD)

    async def test_a_blocked_answer_is_not_shown(self, tenant: Tenant, provider: ProviderDouble) -> None:
        secret = SECRETS["github_token"]
        provider.will(whole(secret))
        await tenant.http.post("/api/v1/invocations", json=asked())
        (row,) = await tenant.invocations()
        response = await tenant.http.get(f"/api/v1/invocations/{row['id']}")
        assert response.json()["answer"] is None
        assert secret not in response.text

    async def test_what_is_not_there(self, tenant: Tenant) -> None:
        for path in ("", "/stream"):
            is_problem(await tenant.http.get(f"/api/v1/invocations/{uuid4()}{path}"), 404, "not_found")
        is_problem(await tenant.http.post(f"/api/v1/invocations/{uuid4()}/cancel"), 404, "not_found")
        problem = is_problem(await tenant.http.get("/api/v1/invocations/17"), 422, "invalid_field")
        assert problem["param"] == "invocation_id"

    async def test_following_one_that_was_not_completed(self, tenant: Tenant, provider: ProviderDouble) -> None:
        provider.always(failure(404, code="model_not_found"))
        await tenant.http.post("/api/v1/invocations", json=asked())
        (row,) = await tenant.invocations()
        is_problem(await tenant.http.get(f"/api/v1/invocations/{row['id']}/stream"), 502, "invocation_failed")


class TestListing:
    async def test_pages_neither_repeat_nor_skip(self, tenant: Tenant) -> None:
        for number in range(5):
            await tenant.http.post("/api/v1/invocations", json=asked(agent_id=f"agent-{number}"))
        seen: list[str] = []
        cursor: str | None = None
        pages = 0
        while True:
            query = {"limit": "2", **({"cursor": cursor} if cursor else {})}
            page = (await tenant.http.get("/api/v1/invocations", params=query)).json()
            assert set(page) == {"data", "next"}
            seen += [each["agent_id"] for each in page["data"]]
            pages += 1
            cursor = page["next"]
            if cursor is None:
                break
        assert (seen, pages) == ([f"agent-{number}" for number in reversed(range(5))], 3)

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({"agent_id": "a"}, 1),
            ({"agent_id": "c"}, 0),
            ({"workflow_execution_id": "run"}, 2),
            ({"node_id": "n", "workflow_execution_id": "run"}, 1),
            ({"model": "slow"}, 1),
            ({"status": "completed"}, 2),
            ({"verdict": "block"}, 1),
            ({"status": "failed"}, 0),
            ({"created_from": "2020-01-01T00:00:00Z"}, 3),
            ({"created_to": "2020-01-01T00:00:00Z"}, 0),
        ],
    )
    async def test_filters(self, tenant: Tenant, query: dict[str, str], found: int) -> None:
        await tenant.http.post("/api/v1/invocations", json=asked(agent_id="a", workflow_execution_id="run"))
        await tenant.http.post("/api/v1/invocations", json=asked("slow", workflow_execution_id="run", node_id="n"))
        secret = {"request": {"model": "solo", "messages": [{"role": "user", "content": SECRETS["npm_token"]}]}}
        await tenant.http.post("/api/v1/invocations", json=secret)
        page = (await tenant.http.get("/api/v1/invocations", params=query)).json()
        assert len(page["data"]) == found

    @pytest.mark.parametrize(
        ("query", "param"),
        [
            ({"limit": "0"}, "limit"),
            ({"limit": "-1"}, "limit"),
            ({"limit": "many"}, "limit"),
            ({"cursor": "zzz"}, "cursor"),
            ({"status": "strange"}, "status"),
            ({"created_from": "yesterday"}, "created_from"),
            ({"created_from": "2026-01-01T00:00:00"}, "created_from"),
            ({"agnet_id": "x"}, "agnet_id"),
        ],
    )
    async def test_the_wrong_query_is_named(self, tenant: Tenant, query: dict[str, str], param: str) -> None:
        problem = is_problem(await tenant.http.get("/api/v1/invocations", params=query), 422, "invalid_field")
        assert problem["param"] == param
