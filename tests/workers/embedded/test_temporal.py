from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client

from customhouse.contracts.errors import ConfigurationError
from customhouse.contracts.search_attributes import SEARCH_ATTRIBUTES
from workers.embedded.ports import free_port
from workers.embedded.temporal import TemporalServer


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
