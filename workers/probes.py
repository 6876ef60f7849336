"""What `GET /readyz` asks: can each part that an answer needs serve right now?"""

from __future__ import annotations

from collections.abc import Mapping

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from api.doors import Probe
from workers.settings import Settings


def probes_of(engine: AsyncEngine, temporal: Client, settings: Settings) -> Mapping[str, Probe]:
    """The local model is asked where `up` has started one; cloud providers are not, since they fail by the minute."""
    probes = {
        "database": _database(engine),
        "temporal": _temporal(temporal),
        "worker": _worker(temporal, settings.task_queue),
    }
    if settings.model_enabled and settings.model_port is not None:
        probes["local model"] = _local_model(settings.model_port)
    return probes


def _database(engine: AsyncEngine) -> Probe:
    async def probe() -> str | None:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        return None

    return probe


def _temporal(client: Client) -> Probe:
    async def probe() -> str | None:
        return None if await client.service_client.check_health() else "the server says that it does not serve"

    return probe


def _worker(client: Client, task_queue: str) -> Probe:
    """Whether somebody polls the invocations' task queue, here or in another process. Temporal forgets a poller that
    is gone after five minutes."""
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=task_queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )

    async def probe() -> str | None:
        described = await client.workflow_service.describe_task_queue(request)
        return None if described.pollers else f"no worker polls {task_queue}: start one with `customhouse worker`"

    return probe


def _local_model(port: int) -> Probe:
    async def probe() -> str | None:
        # Without `verify` httpx would load the system's certificates, 20 ms, for a connection that has no TLS.
        async with httpx.AsyncClient(trust_env=False, verify=False) as client:  # noqa: S501
            response = await client.get(f"http://127.0.0.1:{port}/health")
        return None if response.status_code == 200 else f"its server answers {response.status_code}"

    return probe
