from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes

from customhouse.contracts.errors import ConfigurationError
from customhouse.contracts.search_attributes import AGENT, SEARCH_ATTRIBUTES
from workers.embedded.ports import free_port
from workers.embedded.temporal import TemporalServer
from workers.embedded.temporal_indexes import drop_unused_indexes


async def test_database_that_is_none_is_one_clear_line(tmp_path: Path) -> None:
    database = tmp_path / "temporal.db"
    database.write_bytes(b"garbage" * 1000)
    server = TemporalServer(tmp_path, tmp_path / "log", port=free_port(), database=database)
    with pytest.raises(ConfigurationError) as caught:
        await server.start()
    assert f"Temporal's database {database} cannot be read: file is not a database" in caught.value.message
    assert "\n" not in caught.value.message
    assert server.process.pid is None


async def test_search_attributes_are_registered_and_the_database_is_in_wal_mode(tmp_path: Path) -> None:
    database = tmp_path / "temporal.db"
    for _ in range(2):  # the second start finds them registered
        server = TemporalServer(tmp_path, tmp_path / "log", port=free_port(), database=database)
        await server.start()
        try:
            client = await Client.connect(server.address)
            request = ListSearchAttributesRequest(namespace="default")
            found = (await client.operator_service.list_search_attributes(request)).custom_attributes
            assert {key.name: key.indexed_value_type.value for key in SEARCH_ATTRIBUTES} == dict(found)
        finally:
            await server.stop()
    connection = sqlite3.connect(database)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


async def test_workflows_are_found_by_what_has_no_index_and_what_is_searched_by_keeps_its_own(tmp_path: Path) -> None:
    database = tmp_path / "temporal.db"
    server = TemporalServer(tmp_path, tmp_path / "log", port=free_port(), database=database)
    await server.start()
    try:
        client = await Client.connect(server.address)
        pairs = TypedSearchAttributes([SearchAttributePair(AGENT, "a-1")])
        await client.start_workflow("None", id="w-1", task_queue="empty-queue", search_attributes=pairs)
        for query in ("CustomhouseAgent = 'a-1'", "TaskQueue = 'empty-queue'", ""):
            assert await _found(client, query) == ["w-1"], query
    finally:
        await server.stop()
    connection = sqlite3.connect(database)
    left = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
    connection.close()
    assert {"default_idx", "by_workflow_id", "by_status", "by_keyword_01", "by_double_01"} <= left
    assert not {"by_bool_01", "by_temporal_keyword_01", "by_history_length"} & left
    assert drop_unused_indexes(database) == 0


async def _found(client: Client, query: str) -> list[str]:
    """Ids of workflows, once there are any: they appear in the list a moment after their start."""
    async with asyncio.timeout(20):
        while True:
            if found := [each.id async for each in client.list_workflows(query)]:
                return found
            await asyncio.sleep(0.05)
