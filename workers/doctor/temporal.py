"""Probe of Temporal: reached, with our namespace and search attributes, and with workers on the task queue."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError, RPCStatusCode

from customhouse.contracts.errors import ConfigurationError, CustomhouseError
from customhouse.contracts.search_attributes import SEARCH_ATTRIBUTES
from customhouse.integrations.temporal_client import TlsFiles, connect
from workers.doctor.finding import Finding, ok, warning, wrong
from workers.settings import Settings

PART = "temporal"
RPC_TIMEOUT = timedelta(seconds=5)


async def probe_temporal(settings: Settings, address: str) -> list[Finding]:
    try:
        client = await connect(
            address,
            namespace=settings.temporal_namespace,
            tls=settings.temporal_tls,
            tls_files=TlsFiles(
                cert=_pem(settings.temporal_tls_cert, "CUSTOMHOUSE_TEMPORAL_TLS_CERT"),
                key=_pem(settings.temporal_tls_key, "CUSTOMHOUSE_TEMPORAL_TLS_KEY"),
                ca=_pem(settings.temporal_tls_ca, "CUSTOMHOUSE_TEMPORAL_TLS_CA"),
            ),
            api_key=settings.temporal_api_key.get_secret_value() if settings.temporal_api_key else None,
        )
    except CustomhouseError as error:
        return [wrong(PART, error.message)]
    return [
        ok(PART, f"namespace {client.namespace} at {address}"),
        await _search_attributes(client),
        await _workers(client, settings.task_queue),
    ]


def _pem(path: Path | None, variable: str) -> bytes | None:
    try:
        return path.read_bytes() if path else None
    except OSError as error:
        raise ConfigurationError(f"{variable}={path} cannot be read: {error.strerror}. Correct the path.") from error


async def _search_attributes(client: Client) -> Finding:
    part = "temporal search attributes"
    request = ListSearchAttributesRequest(namespace=client.namespace)
    try:
        answer = await client.operator_service.list_search_attributes(request, timeout=RPC_TIMEOUT)
    except RPCError as error:
        mend = f"If the credentials may not ask, see in Temporal's console that it has {_names(SEARCH_ATTRIBUTES)}."
        return warning(part, f"cannot be listed: {error.message}", mend)
    missing = [key for key in SEARCH_ATTRIBUTES if key.name not in answer.custom_attributes]
    if missing:
        flags = " ".join(f"--name {key.name} --type {key.indexed_value_type.name.title()}" for key in missing)
        mend = f"temporal operator search-attribute create --namespace {client.namespace} {flags}"
        return wrong(part, f"missing: {_names(missing)}", mend)
    return ok(part, f"all {len(SEARCH_ATTRIBUTES)} registered")


def _names(keys: Sequence[SearchAttributeKey[Any]]) -> str:
    return ", ".join(key.name for key in keys)


async def _workers(client: Client, task_queue: str) -> Finding:
    part = "temporal workers"
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=task_queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    try:
        answer = await client.workflow_service.describe_task_queue(request, timeout=RPC_TIMEOUT)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            return wrong(part, f"the task queue {task_queue} cannot be described: {error.message}", "Is Temporal well?")
        pollers = []
    else:
        pollers = [poller.identity for poller in answer.pollers]
    if not pollers:
        mend = "Start `customhouse worker` or `customhouse up`, with the same CUSTOMHOUSE_TASK_QUEUE everywhere."
        return wrong(part, f"no worker polls the task queue {task_queue}", mend)
    return ok(part, f"{len(pollers)} on the task queue {task_queue}: {', '.join(pollers)}")
