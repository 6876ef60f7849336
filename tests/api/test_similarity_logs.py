"""`/api/v1/similarity-logs`: rows and sums as they are asked for over HTTP."""

from __future__ import annotations

from decimal import Decimal

import pytest
from sqlalchemy import insert

from customhouse.storage.ids import new_id
from customhouse.storage.models import ModelCostLog, PromptSimLog
from tests.doubles.house import Tenant

HASHES = [f"{number:064x}" for number in range(3)]


@pytest.fixture
async def compared(tenant: Tenant) -> Tenant:
    """Three prompts: a new one, its near-copy, and an exact copy, which was blocked."""
    async with tenant.house.parts.engine.begin() as connection:
        for number, (score, matched) in enumerate([(None, None), (0.95, HASHES[0]), (1.0, HASHES[2])]):
            invocation = new_id()
            row = {
                "id": new_id(),
                "organization_id": tenant.organization_id,
                "invocation_id": invocation,
                "prompt_hash": HASHES[number],
                "similarity_score": score,
                "matched_prompt_hash": matched,
                "threshold": 0.93,
                "blocked": number == 2,
                "user_id": f"user-{number}",
            }
            await connection.execute(insert(PromptSimLog), row)
            cost = {
                "id": new_id(),
                "organization_id": tenant.organization_id,
                "invocation_id": invocation,
                "attempt_number": 1,
                "model": "m",
                "provider": "p",
                "region": "eu",
                "deployment_id": "m@p@eu",
                "attempt_status": "succeeded",
                "tokens_input": 1,
                "tokens_output": 1,
                "usd_cost": Decimal(number + 1),
            }
            await connection.execute(insert(ModelCostLog), cost)
    return tenant


@pytest.mark.parametrize(
    ("query", "users"),
    [
        ({}, {"user-0", "user-1", "user-2"}),
        ({"blocked": "true"}, {"user-2"}),
        ({"near_copies": "true"}, {"user-1", "user-2"}),
        ({"min_score": "0.99"}, {"user-2"}),
        ({"prompt_hash": HASHES[0]}, {"user-0", "user-1"}),
        ({"user_id": "user-1"}, {"user-1"}),
        ({"created_to": "2020-01-01T00:00:00Z"}, set()),
    ],
)
async def test_filters(compared: Tenant, query: dict[str, str], users: set[str]) -> None:
    body = (await compared.http.get("/api/v1/similarity-logs", params=query)).json()
    assert {row["user_id"] for row in body["data"]} == users


async def test_pages_and_fields(compared: Tenant) -> None:
    first = (await compared.http.get("/api/v1/similarity-logs", params={"limit": "2"})).json()
    query = {"limit": "2", "cursor": first["next"]}
    second = (await compared.http.get("/api/v1/similarity-logs", params=query)).json()
    assert (len(first["data"]), len(second["data"]), second["next"]) == (2, 1, None)
    row = next(row for row in [*first["data"], *second["data"]] if row["user_id"] == "user-1")
    assert (row["similarity_score"], row["threshold"], row["matched_prompt_hash"]) == (0.95, 0.93, HASHES[0])
    assert "vector" not in row


async def test_savings(compared: Tenant) -> None:
    body = (await compared.http.get("/api/v1/similarity-logs/savings")).json()
    assert (body["invocations"], body["exact_copies"], body["near_copies"]) == (3, 1, 1)
    assert [Decimal(body[name]) for name in ("usd_cost", "exact_copies_usd", "near_copies_usd")] == [6, 3, 2]


async def test_savings_hold_nothing_of_others(compared: Tenant) -> None:
    other = await compared.house.tenant()
    body = (await other.http.get("/api/v1/similarity-logs/savings")).json()
    assert (body["invocations"], body["usd_cost"]) == (0, None)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"min_score": "2"}, "min_score"),
        ({"prompt_hash": "short"}, "prompt_hash"),
        ({"x": "1"}, "x"),
        ({"limit": "0"}, "limit"),
    ],
)
async def test_the_wrong_query_is_named(tenant: Tenant, query: dict[str, str], param: str) -> None:
    response = await tenant.http.get("/api/v1/similarity-logs", params=query)
    assert response.status_code == 422
    assert response.json()["param"].startswith(param)
