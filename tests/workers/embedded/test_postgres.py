from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import psycopg
import pytest

from customhouse.contracts.errors import ConfigurationError
from tests.stack import THROWN_AWAY
from tests.workers.embedded.programs import is_gone
from workers.embedded.postgres import SOCKET_PATH_LIMIT, Postgres


def _postgres(folder: Path) -> Postgres:
    return Postgres(folder / "data", folder / "run", folder / "postgres.log", THROWN_AWAY)


@pytest.mark.parametrize("version", ["garbage", "", "9.6", "\x00\xff"])
async def test_garbage_version_is_one_clear_line(folder: Path, version: str) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "PG_VERSION").write_text(version, encoding="latin-1")
    with pytest.raises(ConfigurationError) as caught:
        await _postgres(folder).start()
    assert f"{folder / 'data' / 'PG_VERSION'} says " in caught.value.message
    assert "move it away to begin anew" in caught.value.message
    assert "\n" not in caught.value.message


async def test_folder_of_something_else_is_left_alone(folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "thesis.doc").write_text("precious")
    with pytest.raises(ConfigurationError, match="holds files but no Postgres cluster"):
        await _postgres(folder).start()
    assert (folder / "data" / "thesis.doc").read_text() == "precious"


async def test_file_in_the_way_is_told(folder: Path) -> None:
    (folder / "data").write_text("")
    with pytest.raises(ConfigurationError, match=r"The Postgres folder .* cannot be used"):
        await _postgres(folder).start()


async def test_data_survive_sigkill_and_a_lock_file_with_a_recycled_pid(folder: Path) -> None:
    """The new start finds the old server's lock file; its pid has meanwhile been given to this test's process."""
    first = _postgres(folder)
    await first.start()
    async with await psycopg.AsyncConnection.connect(first.dsn(), autocommit=True) as connection:
        await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        await connection.execute("CHECKPOINT")
    assert first.process.pid is not None
    os.kill(first.process.pid, signal.SIGKILL)
    await first.process.wait()
    lock = folder / "data" / "postmaster.pid"
    lines = lock.read_text().splitlines()
    lock.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")

    second = _postgres(folder)
    await second.start()
    try:
        async with await psycopg.AsyncConnection.connect(second.dsn()) as connection:
            cursor = await connection.execute("SELECT answer, current_setting('listen_addresses') FROM kept")
            assert await cursor.fetchone() == (42, "")
    finally:
        await second.stop()


async def test_server_that_a_killed_parent_left_is_ended(folder: Path) -> None:
    left, pid_file = _postgres(folder), folder / "run" / "postgres.pid"
    await left.start()
    pid_file.write_text(json.dumps({}))  # as if a crash had cut it off: the server is found by its folder
    again = _postgres(folder)
    await again.start()
    try:
        assert left.process.pid is not None
        assert is_gone(left.process.pid)
    finally:
        await again.stop()


def test_long_path_gets_a_short_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100)
    socket = _postgres(deep).url().partition("?host=")[2]
    assert len(socket + "/.s.PGSQL.5432") <= SOCKET_PATH_LIMIT
    assert socket == _postgres(deep).url().partition("?host=")[2]
    assert socket != _postgres(tmp_path / ("y" * 100)).url().partition("?host=")[2]
