"""`examples/agent_workflow.py`, run: an agent's workflow with governed children."""

from __future__ import annotations

from uuid import uuid4

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ChildWorkflowError
from temporalio.worker import Worker

from examples.agent_workflow import AnswerTwice, Question
from tests.doubles.house import House, Tenant
from tests.doubles.provider import ProviderDouble, failure, whole


async def test_two_calls_in_one_run(house: House, tenant: Tenant, provider: ProviderDouble, task_queue: str) -> None:
    provider.will(whole("A long story."), whole("Short."))
    run_id = f"agent-{uuid4()}"
    question = Question(
        organization_id=tenant.organization_id,
        model="solo",
        text="Tell me.",
        customhouse_queue=house.parts.settings.task_queue,
    )
    async with Worker(house.parts.temporal, task_queue=task_queue, workflows=[AnswerTwice]):
        answer = await house.parts.temporal.execute_workflow(
            AnswerTwice.run, question, id=run_id, task_queue=task_queue
        )
    assert (answer.draft, answer.final) == ("A long story.", "Short.")
    assert answer.usd_cost == pytest.approx(2 * 0.000021)
    assert provider.calls[1].prompt == "Say this in one sentence: A long story."
    costs = await tenant.costs()
    assert [(c["workflow_execution_id"], c["node_id"]) for c in costs] == [(run_id, "draft"), (run_id, "shorten")]


async def test_a_failed_call_ends_the_run(
    house: House, tenant: Tenant, provider: ProviderDouble, task_queue: str
) -> None:
    provider.always(failure(400, "no"))
    question = Question(
        organization_id=tenant.organization_id,
        model="solo",
        text="Tell me.",
        customhouse_queue=house.parts.settings.task_queue,
    )
    async with Worker(house.parts.temporal, task_queue=task_queue, workflows=[AnswerTwice]):
        with pytest.raises(WorkflowFailureError) as caught:
            await house.parts.temporal.execute_workflow(
                AnswerTwice.run, question, id=f"agent-{uuid4()}", task_queue=task_queue
            )
    assert isinstance(caught.value.cause, ChildWorkflowError)
