"""The floor: workflows that do nothing, from start to result: `python -m benchmarks.empty_workflow TEMPORAL_ADDRESS`.

Client and worker share this one process, as API and worker do in ours, with the same advantages: uvloop, no sandbox,
eager start. So what is left is what Temporal itself costs. It is measured from within: no HTTP comes on top.
"""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from uuid import uuid4

import uvloop
from temporalio import workflow
from temporalio.client import Client, WorkflowFailureError
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from benchmarks.jobs import Sample, Unanswered, serve_jobs
from workers.invocation_worker import CACHED_WORKFLOWS, POLLERS, SLOTS

TASK_QUEUE = "benchmarks-empty"
EXECUTION_TIMEOUT = timedelta(seconds=30)


@workflow.defn(name="Empty")
class Empty:
    """Does nothing."""

    @workflow.run
    async def run(self) -> None:
        return


async def main(address: str) -> None:
    client = await Client.connect(address)
    worker = Worker(
        client,
        task_queue=TASK_QUEUE,
        workflows=[Empty],
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_concurrent_workflow_tasks=SLOTS,
        max_cached_workflows=CACHED_WORKFLOWS,
        max_concurrent_workflow_task_polls=POLLERS,
    )

    async def start_to_result() -> Sample:
        began = time.perf_counter()
        try:
            handle = await client.start_workflow(
                Empty.run,
                id=f"empty-{uuid4().hex}",
                task_queue=TASK_QUEUE,
                execution_timeout=EXECUTION_TIMEOUT,
                request_eager_start=True,
            )
            await handle.result()
        except (TimeoutError, RPCError, WorkflowFailureError) as error:
            raise Unanswered(repr(error)) from error
        total = time.perf_counter() - began
        return Sample(total, total)

    async with worker:
        await serve_jobs(start_to_result)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
