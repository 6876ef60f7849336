"""The OpenAPI description: complete, with valid examples, and kept by what the API answers to anything."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from jsonschema import Draft202012Validator
from schemathesis import Case, GenerationMode, checks
from schemathesis.core.result import Ok
from schemathesis.schemas import BaseSchema

from customhouse.contracts.chat import Json
from customhouse.storage.keys import Role
from tests.api.test_every_route import OPEN_ROUTES, ROUTES
from tests.doubles.house import House, Tenant
from tests.doubles.provider import ProviderDouble

EXAMPLES = 12
"""Requests an operation and mode; enough for each field to be wrong in several ways."""

UNPROBED = ["unsupported_method", "use_after_free", "ensure_resource_availability"]
"""Checks that send requests of their own; `test_every_route.py` and `test_bad_input.py` do the like by name."""


@pytest.fixture
async def description(tenant: Tenant) -> Json:
    body: Json = (await tenant.http.get("/openapi.json")).json()
    return body


def operations(description: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


async def test_it_is_complete(description: Json) -> None:
    described = {(method, path) for method, path, _ in operations(description)}
    known = {(method, path.replace(":path", "")) for method, path in ROUTES} - {("GET", "/openapi.json")}
    hidden = {route for route in OPEN_ROUTES if route[1] not in ("/healthz", "/readyz")}
    assert described == known | (OPEN_ROUTES - hidden)
    for method, path, operation in operations(description):
        where = f"{method} {path}"
        assert operation.get("summary"), where
        assert operation.get("description"), where
        for status, response in operation["responses"].items():
            assert response.get("description"), f"{where} {status}"
        if (method, path) not in OPEN_ROUTES:
            assert "401" in operation["responses"], where
        if method == "POST" and "codec" not in path and not path.endswith("/cancel"):
            assert operation["requestBody"]["content"]["application/json"]["schema"], where


async def test_callers_options_are_described(description: Json) -> None:
    names = ("Agent", "User", "Workflow-Execution", "Node", "Region", "Plan", "On-Disconnect", "Deadline-Seconds")
    wanted = {f"X-Customhouse-{name}" for name in names} | {"Idempotency-Key"}
    for path in ("/v1/chat/completions", "/api/v1/invocations"):
        described = {parameter["name"] for parameter in description["paths"][path]["post"]["parameters"]}
        assert wanted <= described


def examples_in(node: Any, path: str = "") -> Iterator[tuple[str, Json, Any]]:
    """Every example, with the schema that it is one of."""
    if isinstance(node, dict):
        for example in node.get("examples", ()) if isinstance(node.get("examples"), list) else ():
            yield path, node, example
        if "example" in node and "schema" in node:
            yield path, node["schema"], node["example"]
        for name, inner in node.items():
            yield from examples_in(inner, f"{path}/{name}")
    elif isinstance(node, list):
        for index, inner in enumerate(node):
            yield from examples_in(inner, f"{path}/{index}")


async def test_every_example_is_valid(description: Json) -> None:
    found = list(examples_in(description))
    assert len(found) > 10
    for path, schema, example in found:
        if schema.get("type") in ("number", "integer"):  # a header's value, which is text on the wire
            example = float(example)
        Draft202012Validator({**schema, "components": description["components"]}).validate(example)
        assert path


async def test_the_example_of_each_body_is_accepted(description: Json, tenant: Tenant) -> None:
    for path, schema in (("/v1/chat/completions", "ChatRequest"), ("/api/v1/invocations", "InvocationRequest")):
        for example in description["components"]["schemas"][schema]["examples"]:
            body = {**example, "model": "solo"} if "model" in example else dict(example)
            if "request" in body:
                body["request"] = {**body["request"], "model": "solo"}
            response = await tenant.http.post(path, json=body)
            assert response.status_code == 200, response.text


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["valid", "invalid"])
async def test_any_request_is_answered_as_described(
    house: House,
    tenant: Tenant,
    provider: ProviderDouble,  # noqa: ARG001 - scripted with nothing, it says hello
    description: Json,
    mode: GenerationMode,
) -> None:
    operator = await house.tenant(Role.OPERATOR, of=tenant)
    schema = schemathesis.openapi.from_dict(description)
    schema.config.update(base_url=house.url)
    schema.config.generation.update(allow_x00=False)  # refused too
    # In a thread, since schemathesis waits for answers that this thread's loop has to give.
    await asyncio.to_thread(_try_all, schema, operator.headers, mode)


def _try_all(schema: BaseSchema, headers: dict[str, str], mode: GenerationMode) -> None:
    excluded = [check for name, check in _checks().items() if name in UNPROBED]
    tried: set[str] = set()
    for result in schema.get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def send(case: Case[Any]) -> None:
            # Rightly refused, which no JSON schema can say: a key that comes with two bodies, a cursor from nowhere, an
            # id that does not fit what a budget is for.
            for where in (case.headers, case.query, case.body):
                if mode is GenerationMode.POSITIVE and isinstance(where, MutableMapping):
                    for name in ("Idempotency-Key", "idempotency_key", "cursor", "scope_id"):
                        where.pop(name, None)
            case.call_and_validate(headers=headers, excluded_checks=excluded)

        try:
            send()
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE, "an operation that takes anything cannot be asked wrongly"
        else:
            tried.add(operation.label)
    assert {"POST /v1/chat/completions", "POST /api/v1/invocations", "GET /api/v1/cost-logs"} <= tried


def _checks() -> dict[str, Any]:
    checks.load_all_checks()
    return {check.__name__: check for check in checks.CHECKS.get_all()}
