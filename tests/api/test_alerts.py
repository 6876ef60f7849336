"""`/api/v1/alerts`: read, acknowledged and closed by operators of the organization."""

from __future__ import annotations

from uuid import UUID

import pytest

from customhouse.contracts.alerts import Alert, AlertKind
from customhouse.contracts.governance import Severity
from customhouse.storage.keys import Role
from tests.doubles.house import House, Tenant


@pytest.fixture
async def operator(house: House, tenant: Tenant) -> Tenant:
    return await house.tenant(Role.OPERATOR, of=tenant)


async def raised(house: House, tenant: Tenant, key: str = "abuse:u", severity: Severity = Severity.MEDIUM) -> UUID:
    alert = Alert(
        organization_id=tenant.organization_id,
        kind=AlertKind.ABUSE,
        severity=severity,
        title="Blocked as jailbreak: user:u",
        dedup_key=key,
    )
    return await house.parts.alerts.record(alert)


async def test_operators_read_acknowledge_and_close(house: House, tenant: Tenant, operator: Tenant) -> None:
    alert_id = await raised(house, tenant)
    await raised(house, tenant)
    (listed,) = (await operator.http.get("/api/v1/alerts")).json()["data"]
    assert (listed["id"], listed["count"], listed["status"]) == (str(alert_id), 2, "open")
    assert (await operator.http.get(f"/api/v1/alerts/{alert_id}")).json() == listed
    url = f"/api/v1/alerts/{alert_id}"
    acknowledged = await operator.http.post(f"{url}/acknowledge", json={"note": "mine"})
    assert acknowledged.status_code == 200, acknowledged.text
    assert acknowledged.json()["acknowledged_by"] == f"key:{operator.key_id}"
    closed = await operator.http.post(f"{url}/close")
    assert (closed.status_code, closed.json()["status"]) == (200, "closed")
    late = await operator.http.post(f"{url}/acknowledge")
    assert (late.status_code, late.json()["code"]) == (409, "conflict")
    audited = await tenant.rows(
        "SELECT action, details FROM audit_logs WHERE organization_id = :organization_id AND action LIKE 'alert.%' "
        "ORDER BY sequence"
    )
    assert [(row["action"], row["details"]["note"]) for row in audited] == [
        ("alert.acknowledged", "mine"),
        ("alert.closed", None),
    ]


async def test_members_are_refused(house: House, tenant: Tenant) -> None:
    alert_id = await raised(house, tenant)
    for method, path in (("GET", ""), ("GET", f"/{alert_id}"), ("POST", f"/{alert_id}/close")):
        assert (await tenant.http.request(method, f"/api/v1/alerts{path}")).status_code == 403


async def test_another_organization_s_are_not_there(house: House, tenant: Tenant, operator: Tenant) -> None:
    other = await house.tenant(Role.OPERATOR)
    alert_id = await raised(house, other)
    assert (await operator.http.get("/api/v1/alerts")).json() == {"data": [], "next": None}
    for method, path in (("GET", ""), ("POST", "/acknowledge"), ("POST", "/close")):
        assert (await operator.http.request(method, f"/api/v1/alerts/{alert_id}{path}")).status_code == 404
    assert (await other.http.get(f"/api/v1/alerts/{alert_id}")).json()["status"] == "open"
    assert tenant.organization_id != other.organization_id


async def test_lists_are_narrowed_and_paged(house: House, tenant: Tenant, operator: Tenant) -> None:
    for number, severity in enumerate((Severity.LOW, Severity.HIGH, Severity.HIGH)):
        await raised(house, tenant, f"k:{number}", severity)
    query = {"severity": "high", "limit": "1"}
    first = (await operator.http.get("/api/v1/alerts", params=query)).json()
    second = (await operator.http.get("/api/v1/alerts", params={**query, "cursor": first["next"]})).json()
    assert [each["dedup_key"] for each in first["data"] + second["data"]] == ["k:2", "k:1"]
    assert second["next"] is None


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("?status=new", "status"),
        ("?agent_id=a", "agent_id"),
        ("?limit=0", "limit"),
        ("?cursor=x", "cursor"),
        ("/no-id", "alert_id"),
    ],
)
async def test_bad_input_is_named(operator: Tenant, path: str, param: str) -> None:
    response = await operator.http.get(f"/api/v1/alerts{path}")
    assert (response.status_code, response.json()["param"]) == (422, param)


@pytest.mark.parametrize("body", [{"note": "x" * 1001}, {"note": "a\0"}, {"what": "x"}, {"note": 1}])
async def test_a_bad_note_is_refused_and_nothing_done(
    house: House, tenant: Tenant, operator: Tenant, body: object
) -> None:
    alert_id = await raised(house, tenant)
    response = await operator.http.post(f"/api/v1/alerts/{alert_id}/close", json=body)
    assert response.status_code == 422, response.text
    assert (await operator.http.get(f"/api/v1/alerts/{alert_id}")).json()["status"] == "open"
