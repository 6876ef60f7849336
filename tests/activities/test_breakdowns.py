"""What must not make the provider be called, and paid, again: an answer that is odd in some way."""

from __future__ import annotations

from typing import Any

import pytest

from customhouse.contracts.chat import Json
from tests.doubles.house import Tenant
from tests.doubles.provider import ProviderDouble, stream, whole

HELLO: Any = [{"role": "user", "content": "Say hello."}]


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 9.5},
        {"prompt_tokens": 11, "completion_tokens": 5, "prompt_tokens_details": []},
        {"prompt_tokens": 11, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": "many"}},
        {"prompt_tokens": -1, "completion_tokens": 5},
        {"prompt_tokens": 10**30, "completion_tokens": 5},
        {"prompt_tokens": 11.5, "completion_tokens": True},
        {"prompt_tokens": None, "completion_tokens": 5},
        {"prompt_tokens": "eleven"},
        [],
        "none",
    ],
    ids=str,
)
async def test_usage_of_an_odd_form(tenant: Tenant, provider: ProviderDouble, usage: Any) -> None:
    provider.always(whole(usage=usage))
    body: Json = {"model": "solo", "messages": HELLO}
    response = await tenant.http.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    assert len(provider.calls) == 1
    (cost,) = await tenant.costs()
    assert cost["attempt_status"] == "succeeded"
    assert cost["usd_cost"] > 0


@pytest.mark.parametrize("usage", [{"prompt_tokens": None}, {"prompt_tokens": 11, "completion_tokens": 5, "x": []}])
async def test_usage_of_an_odd_form_amid_a_stream(tenant: Tenant, provider: ProviderDouble, usage: Any) -> None:
    provider.always(stream("Hello.", {"id": "c", "choices": [], "usage": usage}))
    body: Json = {"model": "solo", "messages": HELLO, "stream": True}
    response = await tenant.http.post("/v1/chat/completions", json=body)
    assert "[DONE]" in response.text
    assert len(provider.calls) == 1
    (cost,) = await tenant.costs()
    assert cost["attempt_status"] == "succeeded"


async def test_an_answer_that_we_cannot_work_on(
    tenant: Tenant, provider: ProviderDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of ours after the provider was called: one attempt, failed, and an explicit error."""

    def break_down(*_: Any) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr("activities.attempt.check_answer", break_down)
    response = await tenant.http.post("/v1/chat/completions", json={"model": "solo", "messages": HELLO})
    assert response.status_code == 502
    assert "fault is ours" in response.json()["error"]["message"]
    assert len(provider.calls) == 1
    (cost,) = await tenant.costs()
    assert cost["attempt_status"] == "failed"
