"""docs/api.md and the guides name what the product has: routes, headers, errors, kinds of findings."""

from __future__ import annotations

import re
from typing import cast
from uuid import UUID

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from activities.live import LiveInvocation
from api import headers
from api.app import create_app
from api.callers import HEADER_FIELDS
from api.doors import Doors
from customhouse.contracts.errors import CustomhouseError
from customhouse.contracts.invocation import InvocationStatus
from customhouse.contracts.search_attributes import SEARCH_ATTRIBUTES
from customhouse.governance.checks.pii import PiiCheck
from customhouse.governance.checks.registry import builtin_checks
from customhouse.governance.checks.secrets import ADDITIONS, DETECTORS
from customhouse.governance.policy import DEFAULT_POLICY
from customhouse.storage.cost_logs import Dimension
from customhouse.storage.keys import Role
from customhouse.storage.models import Base
from customhouse.storage.partitions import partitioned_tables
from tests.docs.pages import code, page, pages, table

API = page("docs/api.md")


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return create_app(cast("Doors", None))  # routes only: nothing is called


def _routes(app: FastAPI) -> set[str]:
    """Those of the OpenAPI description, and those that are left out of it."""
    served = {f"{method.upper()} {path}" for path, methods in app.openapi()["paths"].items() for method in methods}
    routers = [route.original_router for route in app.routes if hasattr(route, "original_router")]
    assert routers, "FastAPI keeps included routers elsewhere now"
    routes = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]
    plain = {f"{method} {route.path}" for route in routes for method in route.methods or ()}
    return served | {re.sub(r":\w+\}", "}", route) for route in plain}


def test_every_route_is_documented_with_its_role(app: FastAPI) -> None:
    rows = table(API.section("Routes"))
    assert {code(row[0])[0] for row in rows} == _routes(app)
    assert {row[1] for row in rows} <= {role.value for role in Role} | {"none"}


def test_routes_named_anywhere_exist(app: FastAPI) -> None:
    paths = {re.sub(r"\{\w+\}", "{}", route.split()[1]) for route in _routes(app)}
    for each in pages():
        for named in re.findall(r"`(?:GET|POST|DELETE|PUT|PATCH) (/[^\s`?]*)", each.prose):
            assert re.sub(r"\{\w+\}", "{}", named) in paths, f"{each} names {named}"


def test_roles_are_documented() -> None:
    assert [code(row[0])[0] for row in table(API.section("Keys and roles"))] == [role.value for role in Role]


def test_request_headers_and_fields_are_documented() -> None:
    rows = table(API.section("Saying who calls"))
    assert {code(row[0])[0].lower(): code(row[1])[0] for row in rows} == HEADER_FIELDS


def test_response_headers_are_documented() -> None:
    documented = {code(row[0])[0] for row in table(API.section("Response headers"))}
    stream = headers.stream_headers(LiveInvocation(UUID(int=1)), received_at=0.0, replayed=True)
    assert documented >= set(stream)
    assert documented == {
        *(headers.INVOCATION_ID, headers.TRACE_ID, headers.VERDICT, headers.COST_USD, headers.OVERHEAD_MS),
        *("server-timing", "idempotent-replayed"),
    }


def test_every_error_is_documented_with_its_status() -> None:
    documented = {code(row[0])[0]: int(row[1]) for row in table(API.section("Errors"))}
    assert documented == _errors(CustomhouseError)


def _errors(root: type[CustomhouseError]) -> dict[str, int]:
    ours = {root.code: root.status} if root.__module__.startswith("customhouse.contracts") else {}
    for child in root.__subclasses__():
        ours |= _errors(child)
    return ours


def test_every_status_is_documented() -> None:
    documented = [code(row[0])[0] for row in table(API.section("Invocations by REST"))]
    assert documented == [status.value for status in InvocationStatus]


def test_every_dimension_of_cost_is_documented() -> None:
    row = next(row for row in table(API.section("Cost logs")) if row[0] == "`group_by`")
    assert set(code(row[1])) == {dimension.value for dimension in Dimension}


def test_every_kind_of_finding_is_documented() -> None:
    text = page("docs/guides/policies.md").section("What is looked for")
    kinds = {kind for kind, _ in (*DETECTORS, *ADDITIONS)} | set(PiiCheck()._kinds)
    assert kinds <= set(code(text))


def test_every_check_has_a_row_in_the_policy() -> None:
    rows = table(page("docs/guides/policies.md").section("The built-in policy"))
    documented = {code(row[0])[0] for row in rows}
    assert documented >= {check for by_name in DEFAULT_POLICY.actions.values() for check in by_name}


def test_the_window_of_streams_is_the_checks() -> None:
    from customhouse.contracts.governance import Direction

    window = builtin_checks(DEFAULT_POLICY).window(Direction.OUTPUT)
    assert f"{window} characters" in API.section("Streams")
    assert f"{window} characters" in page("docs/guides/policies.md").section("Streams")


def test_search_attributes_are_documented() -> None:
    rows = table(page("docs/guides/traces.md").section("The Temporal Web UI"))
    names = [key.name for key in SEARCH_ATTRIBUTES]
    assert [code(row[0])[0] for row in rows] == names
    cloud = page("docs/guides/operations.md").section("Temporal Cloud")
    assert all(f"`{name}`" in cloud for name in names)


def test_every_table_is_in_the_architecture() -> None:
    rows = table(page("docs/architecture.md").section("Tables"))
    documented = {name: row[2] == "yes" for row in rows for name in code(row[0])}
    by_month = {table.name for table in partitioned_tables()}
    assert documented == {name: name in by_month for name in Base.metadata.tables}
