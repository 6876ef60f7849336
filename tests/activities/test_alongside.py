"""A thorough look at the request while the provider answers: nothing leaves before its verdict, and all is paid for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from customhouse.contracts.governance import InspectionContext
from customhouse.governance.policy import CheckRule, When
from tests.doubles.checks import DoubtingCheck, in_force
from tests.doubles.house import House, Tenant, until
from tests.doubles.provider import ProviderDouble, silence, stream, whole

ALONGSIDE = CheckRule(when=When.ALONGSIDE)


def asking(text: str, *, model: str = "solo", is_streamed: bool = False) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], "stream": is_streamed}


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize("model", ["solo", "slow"])
async def test_nothing_leaves_before_the_verdict(
    house: House, tenant: Tenant, provider: ProviderDouble, model: str, *, is_streamed: bool
) -> None:
    words = "The answer " * 30
    provider.always(stream(words, "ends.") if is_streamed else whole(words))
    check = DoubtingCheck()
    check.may_look.clear()
    with in_force(house, check, doubting=ALONGSIDE):
        body = asking("harmless", model=model, is_streamed=is_streamed)
        call = asyncio.create_task(tenant.http.post("/v1/chat/completions", json=body))
        await until(lambda: bool(provider.calls) and not provider.busy)
        assert not call.done()
        check.may_look.set()
        response = await call
    assert response.status_code == 200
    assert "The answer" in response.text
    (row,) = await tenant.ended()
    assert row["status"] == "completed"
    steps = {step["name"]: step["attributes"] for step in row["result"]["steps"]}
    assert steps["check.doubting"]["probability"] == 0.5
    assert steps["check.doubting.thorough"]["probability"] == 0.9


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize("model", ["solo", "slow"])
async def test_a_block_takes_the_place_of_the_answer_and_its_cost_is_logged(
    house: House, tenant: Tenant, provider: ProviderDouble, model: str, *, is_streamed: bool
) -> None:
    provider.always(stream("The answer " * 30) if is_streamed else whole("The answer"))
    check = DoubtingCheck()
    check.may_look.clear()
    with in_force(house, check, doubting=ALONGSIDE):
        body = asking("an offence", model=model, is_streamed=is_streamed)
        call = asyncio.create_task(tenant.http.post("/v1/chat/completions", json=body))
        await until(lambda: bool(provider.calls) and not provider.busy)
        check.may_look.set()
        response = await call
    assert response.status_code == 403
    assert response.json()["error"]["code"] == "blocked_by_policy"
    assert "The answer" not in response.text
    (row,) = await tenant.ended()
    assert (row["status"], row["verdict"]) == ("blocked", "block")
    assert [(each["check"], each["direction"]) for each in row["result"]["findings"]] == [("doubting", "input")]
    (cost,) = await tenant.costs()
    assert cost["usd_cost"] > 0
    (attempt,) = await tenant.rows("SELECT answer FROM attempts WHERE organization_id = :organization_id")
    assert attempt["answer"] is None


@pytest.mark.parametrize("model", ["solo", "slow"])
async def test_a_block_ends_the_call(house: House, tenant: Tenant, provider: ProviderDouble, model: str) -> None:
    provider.always(silence)
    check = DoubtingCheck()
    check.may_look.clear()
    with in_force(house, check, doubting=ALONGSIDE):
        call = asyncio.create_task(tenant.http.post("/v1/chat/completions", json=asking("an offence", model=model)))
        await until(lambda: provider.calls)
        check.may_look.set()
        response = await call
        await until(lambda: not provider.busy)
    assert response.status_code == 403
    (cost,) = await tenant.costs()
    assert cost["usage_estimated"]
    assert cost["usd_cost"] > 0
    assert len(provider.calls) == 1


async def test_before_means_that_the_provider_is_not_called(
    house: House, tenant: Tenant, provider: ProviderDouble
) -> None:
    with in_force(house, DoubtingCheck()):
        response = await tenant.http.post("/v1/chat/completions", json=asking("an offence"))
    assert response.status_code == 403
    assert provider.calls == []
    assert await tenant.costs() == []


async def test_a_look_that_fails_blocks_and_condemns_nobody(
    house: House, tenant: Tenant, provider: ProviderDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.always(whole("The answer"))
    check = DoubtingCheck()

    def fall_over(*_: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as broken, in_force(house, check, doubting=ALONGSIDE):
        broken.setattr(check, "study", fall_over)
        response = await tenant.http.post("/v1/chat/completions", json=asking("harmless, all in all"))
    assert response.status_code == 403
    assert "check_failed" in await tenant.events()
    response = await tenant.http.post("/v1/chat/completions", json=asking("harmless, all in all"))
    assert response.status_code == 200


async def test_a_check_that_is_not_in_force_here_has_not_looked(house: House) -> None:
    seen = await house.parts.inspector.alongside(["another"], [], InspectionContext())
    (finding,) = seen.findings
    assert (finding.check, finding.is_failure) == ("another", True)
