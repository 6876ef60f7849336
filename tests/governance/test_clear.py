"""What `clear` lets through, in the order in which it looks; the rest of it is tested with the activities."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from activities.check_threads import CheckThreads
from activities.clear import Clear
from activities.examination import Examiner
from activities.inspection import MAX_INLINE_CHARS, Inspector
from customhouse.client import invocation_input
from customhouse.contracts.chat import ChatRequest
from customhouse.contracts.governance import Direction, Finding, Verdict
from customhouse.contracts.invocation import Caller, Decision
from customhouse.governance.checks.base import Passage
from customhouse.governance.checks.prompt_length import PromptLengthCheck
from customhouse.governance.checks.secrets import SecretsCheck
from customhouse.governance.checks.suite import CheckSuite
from customhouse.governance.passages import MAX_TEXTS
from customhouse.governance.policy import Policy, builtin_policy
from tests.doubles.house import Tenant
from tests.doubles.provider import ProviderDouble
from tests.governance.samples import PII, SECRETS


class Noticing(SecretsCheck):
    """Notes in which thread it looks."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[threading.Thread] = []

    def inspect(self, passage: Passage, direction: Direction) -> list[Finding]:
        self.threads.append(threading.current_thread())
        return super().inspect(passage, direction)


def clear_of(tenant: Tenant, policy: Policy, check: SecretsCheck | None = None) -> Clear:
    suite = CheckSuite([PromptLengthCheck(policy.limits), check or SecretsCheck()])
    inspector = Inspector(suite, policy, CheckThreads())
    parts = tenant.house.parts
    return replace(parts.begin.clear, examiner=Examiner(inspector, parts.limiting.admittance, None))


async def decision_of(tenant: Tenant, clear: Clear, content: str, **fields: Any) -> Decision:
    request = ChatRequest.model_validate(
        {"model": "slow", "messages": [{"role": "user", "content": content}], **fields}
    )
    invocation = invocation_input(request, Caller(organization_id=tenant.organization_id))
    return (await clear.clear(invocation, tenant.house.parts.call.opening)).decision


async def test_a_prompt_that_is_too_long_is_not_read(tenant: Tenant) -> None:
    check = Noticing()
    secret = SECRETS["github_token"]
    decision = await decision_of(
        tenant, clear_of(tenant, builtin_policy(), check), "4111 1111 1111 1112 " * 60_000 + secret
    )
    assert decision.verdict is Verdict.BLOCK
    assert [(finding.check, finding.kind) for finding in decision.findings] == [("prompt_length", "characters")]
    assert check.threads == []
    # What nobody has looked at is not kept.
    (row,) = await tenant.invocations()
    assert row["request"] is None


@pytest.mark.parametrize("is_long", [False, True])
async def test_a_long_text_does_not_hold_up_the_event_loop(tenant: Tenant, *, is_long: bool) -> None:
    check = Noticing()
    content = "x " * (MAX_INLINE_CHARS if is_long else 10)
    decision = await decision_of(tenant, clear_of(tenant, builtin_policy(), check), content)
    assert decision.verdict is Verdict.ALLOW
    assert [thread is threading.main_thread() for thread in check.threads] == [not is_long]


async def test_what_is_to_be_reviewed_is_blocked(tenant: Tenant) -> None:
    policy = builtin_policy(secrets=Verdict.REVIEW)
    decision = await decision_of(tenant, clear_of(tenant, policy), SECRETS["github_token"])
    assert decision.verdict is Verdict.BLOCK
    assert decision.route == []
    assert decision.error is not None
    assert decision.error.code == "blocked_by_policy"
    assert "reviewed (secrets.github_token)" in decision.error.message


async def test_texts_without_number_are_refused(tenant: Tenant) -> None:
    decision = await decision_of(tenant, clear_of(tenant, builtin_policy()), "x", new=["a"] * MAX_TEXTS)
    assert decision.error is not None
    assert (decision.error.code, decision.error.status) == ("payload_too_large", 413)
    (row,) = await tenant.invocations()
    assert row["request"] is None


async def test_the_provider_sees_no_personal_data_in_tools(tenant: Tenant, provider: ProviderDouble) -> None:
    tools: Any = [{"type": "function", "function": {"name": "f", "description": f"asks {PII['email']}"}}]
    await tenant.openai.chat.completions.create(model="solo", messages=[{"role": "user", "content": "hi"}], tools=tools)
    (call,) = provider.calls
    assert call.body["tools"][0]["function"]["description"] == "asks <EMAIL_1>"
