"""What a blocked prompt leaves behind: its findings in Postgres, and an alert that is one however often it repeats."""

from __future__ import annotations

from typing import Any

from customhouse.contracts.governance import Direction, Finding, Severity, Span, Verdict
from customhouse.contracts.identity import workflow_id
from customhouse.contracts.invocation import Caller, InvocationStatus, RecordInput
from customhouse.storage.alerts import AlertFilter, AlertRecord
from customhouse.storage.pages import PageRequest
from tests.doubles.house import House, Tenant, until
from tests.storage.ledger_cases import a_decision, an_invocation

FOUND = Finding(
    check="abuse",
    kind="jailbreak",
    severity=Severity.HIGH,
    score=0.97,
    direction=Direction.INPUT,
    span=Span(path="messages.0.content", start=0, end=2),
    explanation="It asks the model to drop its rules.",
    may_be_kept=True,
)


async def blocked(house: House, tenant: Tenant, user: str) -> RecordInput:
    """As the workflow has it recorded when the abuse check has blocked a prompt."""
    caller = Caller(organization_id=tenant.organization_id, user_id=user)
    invocation = an_invocation(tenant.organization_id, caller=caller)
    decision = a_decision(invocation, verdict=Verdict.BLOCK, findings=[FOUND], route=[])
    identity = workflow_id(tenant.organization_id, invocation.idempotency_key)
    await house.parts.ledger.clear(invocation, identity, decision, None)
    record = RecordInput(invocation=invocation, decision=decision, status=InvocationStatus.BLOCKED)
    await house.parts.record.recorder.record(record)
    return record


async def alerts(house: House, tenant: Tenant) -> list[AlertRecord]:
    return (await house.parts.alerts.list_page(tenant.organization_id, AlertFilter(), PageRequest.of(50))).data


async def test_blocks_are_logged_with_their_findings_and_told_of_once_a_user(house: House, tenant: Tenant) -> None:
    records = [await blocked(house, tenant, user) for user in ("ann", "ann", "bob")]
    await house.parts.record.recorder.record(records[0])  # a repetition after a crash is no second offence

    async def all_there() -> bool:
        return sum(each.count for each in await alerts(house, tenant)) >= 3

    await until(all_there)
    found = {each.subject: each for each in await alerts(house, tenant)}
    assert {subject: each.count for subject, each in found.items()} == {"user:ann": 2, "user:bob": 1}
    assert found["user:bob"].invocation_id == records[2].decision.invocation_id
    events = await tenant.rows(
        "SELECT event_type, action, invocation_id, details FROM governance_events "
        "WHERE organization_id = :organization_id"
    )
    assert len(events) == 3
    expected: dict[str, Any] = FOUND.model_dump(mode="json")
    assert all((e["event_type"], e["action"], e["details"]) == ("finding", "block", expected) for e in events)
    rows = await tenant.invocations()
    assert [row["result"]["findings"] for row in rows] == [[expected]] * 3
