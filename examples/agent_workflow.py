"""An agent's own Temporal workflow that makes governed calls: each runs `GovernedInvocation` as its child.

The agent's worker needs `customhouse` with its two dependencies, pydantic and temporalio, and reaches the same Temporal
as the Customhouse workers, which run the children. Because the child is durable and has the run's id in its key, a
crash of either worker repeats no call and bills none twice.

    export CUSTOMHOUSE_TEMPORAL_ADDRESS=127.0.0.1:7233
    python examples/agent_workflow.py ORGANIZATION_ID smollm2-135m "What is a customs house?"
"""

from __future__ import annotations

import asyncio
import os
import sys
from uuid import UUID, uuid4

from pydantic import BaseModel
from temporalio import workflow
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from customhouse.client import TASK_QUEUE, WORKFLOW, invocation_input, raise_unless_completed, start_options
    from customhouse.contracts.chat import ChatRequest
    from customhouse.contracts.invocation import Caller, InvocationResult


class Question(BaseModel):
    """What the agent is asked."""

    organization_id: UUID
    model: str
    text: str
    customhouse_queue: str = TASK_QUEUE


class Answer(BaseModel):
    draft: str
    final: str
    usd_cost: float
    """Of both calls."""


@workflow.defn
class AnswerTwice:
    """Drafts an answer, then has it shortened: two governed calls in one durable run."""

    @workflow.run
    async def run(self, question: Question) -> Answer:
        drafted = await self._ask(question, "draft", question.text)
        draft = _text(drafted)
        shortened = await self._ask(question, "shorten", f"Say this in one sentence: {draft}")
        costs = [result.usd_cost for result in (drafted, shortened) if result.usd_cost is not None]
        return Answer(draft=draft, final=_text(shortened), usd_cost=float(sum(costs)))

    async def _ask(self, question: Question, node: str, text: str) -> InvocationResult:
        """One governed call, charged to this run and node. Raises what a blocked or failed one ended with."""
        run_id = workflow.info().workflow_id
        caller = Caller(
            organization_id=question.organization_id, agent_id="answerer", workflow_execution_id=run_id, node_id=node
        )
        request = ChatRequest.model_validate({"model": question.model, "messages": [{"role": "user", "content": text}]})
        invocation = invocation_input(
            request,
            caller,
            idempotency_key=f"{run_id}/{node}",
            # What differs from run to run comes from the workflow, so that a replay finds the same.
            invocation_id=workflow.uuid4(),
            accepted_at=workflow.time(),
        )
        result = await workflow.execute_child_workflow(
            WORKFLOW,
            invocation,
            task_queue=question.customhouse_queue,
            result_type=InvocationResult,
            **start_options(invocation),
        )
        return raise_unless_completed(result)


def _text(result: InvocationResult) -> str:
    """Of the answer; one over 128 KiB stays in Postgres, and `GET /api/v1/invocations/{id}` has it."""
    return "" if result.answer is None else str(result.answer.choices[0].message["content"])


async def main(organization: str, model: str, text: str) -> None:
    address = os.environ.get("CUSTOMHOUSE_TEMPORAL_ADDRESS", "localhost:7233")
    client = await Client.connect(address, data_converter=pydantic_data_converter)
    question = Question(organization_id=UUID(organization), model=model, text=text)
    async with Worker(client, task_queue="agents", workflows=[AnswerTwice]):
        answer = await client.execute_workflow(AnswerTwice.run, question, id=f"answer-{uuid4()}", task_queue="agents")
    sys.stdout.write(f"{answer.final}\n({answer.usd_cost:.6f} USD)\n")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
