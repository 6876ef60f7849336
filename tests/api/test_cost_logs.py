"""`/api/v1/cost-logs`: rows, sums, pages and CSV of real calls."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from typing import Any

import pytest

from tests.doubles.house import CALL_USD, Tenant
from tests.doubles.provider import ProviderDouble, failure

HELLO: Any = [{"role": "user", "content": "Say hello."}]
USD = Decimal(CALL_USD)


@pytest.fixture
async def spent(tenant: Tenant, provider: ProviderDouble) -> Tenant:
    """Three agents' calls: two by `a`, one by `b` that was rerouted, one without a known price."""
    for agent, model, node in (("a", "solo", "x"), ("a", "slow", "y"), ("b", "duo", "x"), ("=c", "unpriced", "z")):
        if model == "duo":
            provider.will(failure(404, code="model_not_found"))
        response = await tenant.http.post(
            "/v1/chat/completions",
            json={"model": model, "messages": HELLO},
            headers={
                "x-customhouse-agent": agent,
                "x-customhouse-node": node,
                "x-customhouse-workflow-execution": "run-1",
            },
        )
        assert response.status_code == 200, response.text
    return tenant


async def test_one_row_an_attempt(spent: Tenant) -> None:
    body = (await spent.http.get("/api/v1/cost-logs")).json()
    assert set(body) == {"data", "next"}
    rows = body["data"]
    assert [row["model"] for row in rows] == ["unpriced", "duo", "duo", "slow", "solo"]
    assert [row["attempt_status"] for row in rows] == ["succeeded", "succeeded", "failed", "succeeded", "succeeded"]
    assert rows[0]["usd_cost"] is None
    assert Decimal(rows[-1]["usd_cost"]) == USD


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"agent_id": "a"}, 2),
        ({"node_id": "x"}, 3),
        ({"workflow_execution_id": "run-1"}, 5),
        ({"workflow_execution_id": "run-2"}, 0),
        ({"model": "duo"}, 2),
        ({"provider": "backup"}, 1),
        ({"agent_id": "a", "model": "slow"}, 1),
        ({"created_from": "2020-01-01T00:00:00Z", "created_to": "2100-01-01T00:00:00Z"}, 5),
        ({"created_to": "2020-01-01T00:00:00Z"}, 0),
    ],
)
async def test_filters(spent: Tenant, query: dict[str, str], found: int) -> None:
    assert len((await spent.http.get("/api/v1/cost-logs", params=query)).json()["data"]) == found


async def test_pages(spent: Tenant) -> None:
    seen: list[str] = []
    cursor: str | None = None
    while True:
        query = {"limit": "2", **({"cursor": cursor} if cursor else {})}
        page = (await spent.http.get("/api/v1/cost-logs", params=query)).json()
        seen += [row["id"] for row in page["data"]]
        cursor = page["next"]
        if cursor is None:
            break
    whole = (await spent.http.get("/api/v1/cost-logs")).json()["data"]
    assert seen == [row["id"] for row in whole]


class TestSums:
    async def test_by_one_dimension(self, spent: Tenant) -> None:
        body = (await spent.http.get("/api/v1/cost-logs", params={"group_by": "agent_id"})).json()
        assert body["next"] is None
        sums = {each["group"]["agent_id"]: each for each in body["data"]}
        assert Decimal(sums["a"]["usd_cost"]) == 2 * USD
        assert (sums["b"]["attempts"], sums["b"]["invocations"]) == (2, 1)
        assert (sums["=c"]["usd_cost"], sums["=c"]["unpriced"]) == (None, 1)

    async def test_by_several(self, spent: Tenant) -> None:
        query = {"group_by": ["workflow_execution_id", "node_id"]}
        sums = (await spent.http.get("/api/v1/cost-logs", params=query)).json()["data"]
        by_node = {(each["group"]["workflow_execution_id"], each["group"]["node_id"]): each for each in sums}
        assert Decimal(by_node["run-1", "x"]["usd_cost"]) == 2 * USD
        assert set(by_node) == {("run-1", "x"), ("run-1", "y"), ("run-1", "z")}


class TestCsv:
    @pytest.mark.parametrize(("query", "accept"), [({"format": "csv"}, "*/*"), ({}, "text/csv")])
    async def test_rows(self, spent: Tenant, query: dict[str, str], accept: str) -> None:
        response = await spent.http.get("/api/v1/cost-logs", params=query, headers={"accept": accept})
        assert response.headers["content-type"].startswith("text/csv")
        rows = list(csv.DictReader(io.StringIO(response.text)))
        assert len(rows) == 5
        assert Decimal(rows[-1]["usd_cost"]) == USD
        assert rows[0]["usd_cost"] == ""
        assert rows[0]["agent_id"] == "'=c", "a spreadsheet must not take it for a formula"

    async def test_sums_and_the_next_page(self, spent: Tenant) -> None:
        response = await spent.http.get("/api/v1/cost-logs", params={"format": "csv", "group_by": "model"})
        rows = list(csv.DictReader(io.StringIO(response.text)))
        assert {row["model"] for row in rows} == {"solo", "slow", "duo", "unpriced"}
        first = await spent.http.get("/api/v1/cost-logs", params={"format": "csv", "limit": "3"})
        query = {"format": "csv", "limit": "3", "cursor": first.headers["x-next-cursor"]}
        second = await spent.http.get("/api/v1/cost-logs", params=query)
        assert "x-next-cursor" not in second.headers
        assert len(list(csv.DictReader(io.StringIO(second.text)))) == 2


@pytest.mark.parametrize(
    ("query", "param"), [({"group_by": "colour"}, "group_by"), ({"format": "xml"}, "format"), ({"x": "1"}, "x")]
)
async def test_the_wrong_query_is_named(tenant: Tenant, query: dict[str, str], param: str) -> None:
    response = await tenant.http.get("/api/v1/cost-logs", params=query)
    assert response.status_code == 422
    assert response.json()["param"].startswith(param)
