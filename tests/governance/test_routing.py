from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from customhouse.contracts.catalog import Capability, Catalog, Deployment, Provider
from customhouse.contracts.chat import ChatRequest
from customhouse.contracts.errors import NoLawfulRoute, UnknownModel
from customhouse.contracts.invocation import Caller, Lane
from customhouse.governance.lanes import MIN_SAMPLES, choose_lane, recent_p95
from customhouse.governance.routing import facts_of, route, survey


def catalog(*deployments: dict[str, Any]) -> Catalog:
    names = ("a", "b", "c")
    return Catalog(
        providers=tuple(
            Provider(name=name, kind="openai", base_url="http://127.0.0.1:1/v1", timeout_s=30) for name in names
        ),
        deployments=tuple(Deployment(**{"model": "m", "provider": "a", **deployment}) for deployment in deployments),
    )


def ask(region: str | None = None, **body: Any) -> Any:
    request = ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "hi"}], **body})
    return facts_of(request, Caller(organization_id=UUID(int=1), region=region))


def ids(facts: Any, known: Catalog) -> list[str]:
    return [step.deployment_id for step in route(facts, known, {}).steps]


def test_the_catalogs_order_is_the_routes_order() -> None:
    known = catalog({"provider": "b", "region": "us"}, {"provider": "a", "region": "eu"}, {"model": "other"})
    assert ids(ask(), known) == ["m@b@us", "m@a@eu"]


def test_a_region_asked_for_is_law() -> None:
    known = catalog({"region": "us"}, {"region": "eu"}, {"provider": "b", "region": "global"})
    found = route(ask("eu"), known, {})
    assert [step.deployment_id for step in found.steps] == ["m@a@eu"]
    assert {out.deployment_id: out.reason for out in found.left_out} == {
        "m@a@us": "its region is us, and the caller asks for eu",
        "m@b@global": "its region is global, and the caller asks for eu",
    }
    assert found.steps[0].reason.startswith("region eu, as asked; ")
    assert found.steps[0].timeout_s == 30


@pytest.mark.parametrize(
    ("body", "capability"),
    [
        ({"stream": True}, Capability.STREAMING),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, Capability.TOOLS),
        ({"messages": [{"role": "tool", "tool_call_id": "1", "content": "x"}]}, Capability.TOOLS),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "n"}}}, Capability.JSON_SCHEMA),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x"}}]}]},
            Capability.IMAGES,
        ),
    ],
)
def test_only_what_can_do_it_is_asked(body: dict[str, Any], capability: Capability) -> None:
    able = catalog({"capabilities": [], "provider": "a"}, {"capabilities": [capability], "provider": "b"})
    found = route(ask(**body), able, {})
    assert [step.provider for step in found.steps] == ["b"]
    assert found.left_out[0].reason == f"it lacks {capability}"


def test_prompt_and_answer_must_fit() -> None:
    known = catalog({"context_window": 1000}, {"context_window": 9000, "provider": "b", "max_output_tokens": 500})
    assert len(ids(ask(), known)) == 2
    long = [{"role": "user", "content": "word " * 1600}]
    assert ids(ask(messages=long), known) == ["m@b@global"]
    assert ids(ask(max_tokens=990), catalog({"context_window": 1000})) == ["m@a@global"]
    with pytest.raises(NoLawfulRoute, match="writes at most 500"):
        route(ask(max_completion_tokens=1001), known, {})


def test_an_estimate_just_over_the_window_is_left_to_the_provider() -> None:
    assert ids(ask(messages=[{"role": "user", "content": "word " * 900}]), catalog({"context_window": 1000}))


def test_an_unknown_model_names_those_there_are() -> None:
    with pytest.raises(UnknownModel, match="Ask for one of: x, y") as caught:
        route(ask(), catalog({"model": "x"}, {"model": "y"}), {})
    assert caught.value.param == "model"


def test_no_lawful_route_names_every_reason() -> None:
    known = catalog({"region": "us"}, {"region": "eu", "capabilities": []})
    facts = ask("eu", stream=True)
    with pytest.raises(NoLawfulRoute) as caught:
        route(facts, known, {})
    assert "m@a@us: its region is us" in caught.value.message
    assert "m@a@eu: it lacks streaming" in caught.value.message
    assert len(survey(facts, known, {}).left_out) == 2


@pytest.mark.parametrize(
    ("settings", "p95_s", "lane"),
    [
        ({}, None, Lane.REGULAR),
        ({}, 0.5, Lane.LOCAL),
        ({}, 3.99, Lane.LOCAL),
        ({}, 4.0, Lane.REGULAR),
        ({"lane": "local"}, 60.0, Lane.LOCAL),
        ({"lane": "regular"}, 0.1, Lane.REGULAR),
        ({"task_queue": "gpu", "lane": "local"}, 0.1, Lane.REGULAR),
    ],
)
def test_the_lane(settings: dict[str, Any], p95_s: float | None, lane: Lane) -> None:
    deployment = catalog(settings).deployments[0]
    assert choose_lane(deployment, p95_s) is lane
    (step,) = route(ask(), catalog(settings), {deployment.id: p95_s}).steps
    assert step.lane is lane
    assert f"{lane} lane: " in step.reason


def test_the_95th_percentile_wants_some_samples() -> None:
    assert recent_p95([0.1] * (MIN_SAMPLES - 1)) is None
    assert recent_p95([3.0, 1.0, 2.0]) == 3.0
    assert recent_p95([float(n) for n in range(1, 101)]) == 95.0
