"""Each activity run again, as after a crash: nothing is called, decided, charged or recorded twice."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest
from aiohttp import web
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.check_threads import CheckThreads
from activities.examination import Examiner
from activities.inspection import Inspector
from customhouse.client import invocation_input
from customhouse.contracts.chat import ChatRequest
from customhouse.contracts.governance import Verdict
from customhouse.contracts.invocation import (
    AttemptOutcome,
    AttemptStatus,
    Begun,
    Caller,
    CallInput,
    CancelRequest,
    Decision,
    InvocationInput,
    InvocationResult,
    InvocationStatus,
    RecordInput,
)
from customhouse.governance.checks.registry import builtin_checks
from customhouse.governance.policy import builtin_policy
from customhouse.storage.ledger_rows import Opening
from tests.doubles.house import CALL_USD, Tenant, until
from tests.doubles.provider import Call, ProviderDouble, after, failure, silence, whole


def asking(model: str) -> ChatRequest:
    return ChatRequest.model_validate({"model": model, "messages": [{"role": "user", "content": "Say hello."}]})


class Steps:
    """The activities of one invocation, as its workflow would run them, one by one (`begin` only clears)."""

    def __init__(self, tenant: Tenant, *, local: bool, model: str = "slow") -> None:
        self.parts = tenant.house.parts
        caller = Caller(organization_id=tenant.organization_id)
        self.invocation: InvocationInput = invocation_input(asking(model), caller)
        self._environment = ActivityEnvironment()
        self._environment.info = replace(self._environment.info, is_local=local)

    @property
    def environment(self) -> ActivityEnvironment:
        return self._environment

    @property
    def info(self) -> activity.Info:
        return self._environment.info

    async def begin(self) -> Begun:
        return await self._environment.run(self.parts.begin.begin, self.invocation)

    async def clear(self) -> Decision:
        decision = (await self.begin()).decision
        assert decision is not None
        return decision

    def call_input(self, decision: Decision, after_attempt: int = 0) -> CallInput:
        return CallInput(
            invocation=self.invocation,
            step=decision.route[0],
            decision=decision,
            after_attempt=after_attempt,
            timeout_s=30,
        )

    async def call(self, decision: Decision, after_attempt: int = 0) -> AttemptOutcome:
        return await self._environment.run(self.parts.call.call, self.call_input(decision, after_attempt))

    async def record(self, decision: Decision, outcome: AttemptOutcome) -> InvocationResult:
        ending = RecordInput(
            invocation=self.invocation, decision=decision, outcome=outcome, status=InvocationStatus.COMPLETED
        )
        return await self._environment.run(self.parts.record.record, ending)


@pytest.fixture(params=[True, False], ids=["local", "regular"])
def steps(request: pytest.FixtureRequest, tenant: Tenant) -> Steps:
    return Steps(tenant, local=request.param)


async def attempts(tenant: Tenant) -> list[tuple[int, str]]:
    rows = await tenant.rows(
        "SELECT number, status FROM attempts WHERE organization_id = :organization_id ORDER BY number"
    )
    return [(row["number"], row["status"]) for row in rows]


async def test_the_decision_stands_under_a_new_policy(tenant: Tenant, steps: Steps) -> None:
    decision = await steps.clear()
    harsher = builtin_policy(pii=Verdict.BLOCK)
    inspector = Inspector(builtin_checks(harsher), harsher, CheckThreads())
    examiner = Examiner(inspector, steps.parts.limiting.admittance, None)
    changed = replace(steps.parts.begin.clear, examiner=examiner)
    begin = replace(steps.parts.begin, clear=changed)
    again = (await ActivityEnvironment().run(begin.begin, steps.invocation)).decision
    assert again is not None
    assert again.policy_version == decision.policy_version == "builtin-1"
    assert len(await tenant.invocations()) == 1


async def test_a_row_is_started_before_the_provider_is_called(
    tenant: Tenant, provider: ProviderDouble, steps: Steps
) -> None:
    seen: list[tuple[int, str]] = []

    async def look(request: web.Request, call: Call) -> web.StreamResponse:
        seen.extend(await attempts(tenant))
        return await whole()(request, call)

    provider.will(look)
    await steps.call(await steps.clear())
    assert seen == [(1, "started")]


async def test_a_settled_answer_is_returned_without_a_call(
    tenant: Tenant, provider: ProviderDouble, steps: Steps
) -> None:
    """The process dies when the answer is settled, and Temporal has not heard of it."""
    decision = await steps.clear()
    outcome = await steps.call(decision)
    again = await steps.call(decision)
    assert again.answer == outcome.answer
    assert (again.number, again.settled) == (1, True)
    assert len(provider.calls) == 1
    result = await steps.record(decision, again)
    assert result.usd_cost == Decimal(CALL_USD)
    assert len(await tenant.costs()) == 1


async def test_a_cancelled_call_is_not_made_again(tenant: Tenant, provider: ProviderDouble, steps: Steps) -> None:
    provider.will(silence)
    decision = await steps.clear()
    calling = asyncio.create_task(steps.call(decision))
    await until(lambda: bool(provider.calls))
    steps.parts.live.cancel(steps.invocation.invocation_id, CancelRequest())
    assert (await calling).status is AttemptStatus.CANCELLED
    assert (await steps.call(decision)).status is AttemptStatus.CANCELLED
    assert len(provider.calls) == len(await tenant.costs()) == 1


async def test_a_crash_amid_a_call_is_charged_with_an_estimate(
    tenant: Tenant, provider: ProviderDouble, steps: Steps
) -> None:
    decision = await steps.clear()
    opening = Opening(decision.route[0], decision.prompt_tokens, Decimal("0.01"))
    await steps.parts.ledger.open_attempt(steps.invocation, opening, after_attempt=0)
    outcome = await steps.call(decision)
    assert (outcome.number, outcome.status) == (2, AttemptStatus.SUCCEEDED)
    assert len(provider.calls) == 1
    result = await steps.record(decision, outcome)
    assert await attempts(tenant) == [(1, "unknown"), (2, "succeeded")]
    first, second = await tenant.costs()
    assert (first["attempt_status"], first["usage_estimated"], first["usd_cost"]) == ("unknown", True, Decimal("0.01"))
    assert second["usd_cost"] == Decimal(CALL_USD)
    assert await tenant.events() == ["attempt_unknown"]
    assert result.usd_cost == Decimal("0.01") + Decimal(CALL_USD)
    assert result.attempts == 2


async def test_a_late_truth_corrects_the_estimate(tenant: Tenant, provider: ProviderDouble, steps: Steps) -> None:
    """A worker that was taken for dead comes back with its answer after another one has given its own."""
    gate = asyncio.Event()
    provider.will(after(gate, whole("Late.")), whole("In time."))
    decision = await steps.clear()
    stalled = asyncio.create_task(steps.call(decision))
    await until(lambda: bool(provider.calls))
    outcome = await steps.call(decision)
    await steps.record(decision, outcome)
    first, _ = await tenant.costs()
    assert (first["attempt_status"], first["usage_estimated"]) == ("unknown", True)
    gate.set()
    await stalled
    assert [cost["usd_cost"] for cost in await tenant.costs()] == [Decimal(CALL_USD)] * 2
    (row,) = await tenant.invocations()
    assert row["usd_cost"] == 2 * Decimal(CALL_USD)
    result = await steps.parts.invocations.result(tenant.organization_id, steps.invocation.invocation_id)
    assert result is not None
    assert result.answer == outcome.answer


async def test_recording_twice_leaves_one_set_of_rows(tenant: Tenant, steps: Steps) -> None:
    decision = await steps.clear()
    outcome = await steps.call(decision)
    first = await steps.record(decision, outcome)
    again = await steps.record(decision, outcome)
    assert again.answer == outcome.answer
    assert again.model_copy(update={"answer": None}) == first.model_copy(update={"answer": None})
    assert len(await tenant.costs()) == 1
    spans = await tenant.rows("SELECT name FROM trace_spans WHERE organization_id = :organization_id")
    assert len(spans) == len({row["name"] for row in spans})


async def test_an_ended_invocation_begins_with_its_result(steps: Steps) -> None:
    decision = await steps.clear()
    outcome = await steps.call(decision)
    await steps.record(decision, outcome)
    again = await steps.begin()
    assert again.result is not None
    assert again.result.answer == outcome.answer


async def test_a_failed_attempt_is_settled_at_once(tenant: Tenant, provider: ProviderDouble, steps: Steps) -> None:
    provider.will(failure(500))
    decision = await steps.clear()
    with pytest.raises(ApplicationError) as caught:
        await steps.call(decision)
    assert not caught.value.non_retryable
    (cost,) = await tenant.costs()
    assert (cost["attempt_status"], cost["usd_cost"]) == ("failed", Decimal(0))


class TestBegin:
    """In the local lane the first attempt is made right behind the decision."""

    @pytest.fixture
    def steps(self, tenant: Tenant) -> Steps:
        return Steps(tenant, local=True, model="solo")

    async def test_run_again_it_returns_what_stands(
        self, tenant: Tenant, provider: ProviderDouble, steps: Steps
    ) -> None:
        begun = await steps.begin()
        again = await steps.begin()
        assert begun.result is not None
        assert begun.result.answer is not None
        assert again.result == begun.result
        assert len(provider.calls) == len(await tenant.costs()) == 1

    async def test_a_crash_amid_the_first_attempt(self, tenant: Tenant, provider: ProviderDouble, steps: Steps) -> None:
        opened = await steps.parts.begin.clear.clear(steps.invocation, steps.parts.call.opening)
        assert opened.is_open
        assert await attempts(tenant) == [(1, "started")]
        begun = await steps.begin()
        assert begun.result is not None
        assert begun.result.attempts == 2
        assert await attempts(tenant) == [(1, "unknown"), (2, "succeeded")]
        assert len(provider.calls) == 1
        first, second = await tenant.costs()
        assert (first["usage_estimated"], second["usage_estimated"]) == (True, False)
        (row,) = await tenant.invocations()
        assert row["usd_cost"] == first["usd_cost"] + second["usd_cost"]

    async def test_a_failure_comes_back_with_the_pause_before_the_next_try(
        self, tenant: Tenant, provider: ProviderDouble, steps: Steps
    ) -> None:
        provider.will(failure(429, "slow down", retry_after="7"))
        begun = await steps.begin()
        assert begun.failure is not None
        assert (begun.failure.provider_status, begun.retry_after_s) == (429, 7)
        assert await attempts(tenant) == [(1, "failed")]

    async def test_a_cancelled_one_is_not_called_again(
        self, tenant: Tenant, provider: ProviderDouble, steps: Steps
    ) -> None:
        provider.will(silence)
        beginning = asyncio.create_task(steps.begin())
        await until(lambda: bool(provider.calls))
        steps.parts.live.cancel(steps.invocation.invocation_id, CancelRequest())
        begun = await beginning
        assert begun.result is not None
        assert begun.result.status is InvocationStatus.CANCELLED
        assert (await steps.begin()).result == begun.result
        assert len(provider.calls) == len(await tenant.costs()) == 1


async def test_a_worker_without_the_deployment_leaves_it_to_the_next(steps: Steps) -> None:
    decision = await steps.clear()
    call = steps.call_input(decision)
    strange = call.model_copy(update={"step": call.step.model_copy(update={"deployment_id": "no@such@one"})})
    with pytest.raises(ApplicationError, match="same catalog") as caught:
        await ActivityEnvironment().run(steps.parts.call.call, strange)
    assert caught.value.non_retryable
