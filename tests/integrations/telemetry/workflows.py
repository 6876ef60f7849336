"""Tiny workflows to trace. A module of their own, because the workflow sandbox imports it anew."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from pydantic import BaseModel
from temporalio import workflow


class TracedInput(BaseModel):
    invocation_id: UUID
    fail: bool = False


class AgentInput(BaseModel):
    child: TracedInput


@workflow.defn
class TracedWorkflow:
    @workflow.run
    async def run(self, given: TracedInput) -> str:
        await workflow.execute_local_activity("clear", given, start_to_close_timeout=timedelta(seconds=5))
        return str(
            await workflow.execute_activity("call", given, start_to_close_timeout=timedelta(seconds=5), result_type=str)
        )


@workflow.defn
class AgentWorkflow:
    """An agent's own workflow, which runs an invocation as its child."""

    @workflow.run
    async def run(self, given: AgentInput) -> str:
        child_id = f"{workflow.info().workflow_id}-child"
        return await workflow.execute_child_workflow(TracedWorkflow.run, given.child, id=child_id)
