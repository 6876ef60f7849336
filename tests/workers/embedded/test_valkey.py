from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from customhouse.contracts.errors import NotReady
from workers.embedded.ports import free_port
from workers.embedded.valkey import Valkey


def _names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


async def test_it_serves_on_loopback_and_keeps_nothing_on_disk(tmp_path: Path) -> None:
    server = Valkey(tmp_path, tmp_path / "valkey.log", port=free_port())
    assert not await server.answers()
    await server.start()
    try:
        assert await server.answers()
        assert server.url.startswith("valkey://127.0.0.1:")
    finally:
        await server.stop()
    assert not await server.answers()
    assert _names(tmp_path) <= {"valkey.log", "valkey.pid"}


async def test_it_starts_again_after_it_has_ended(tmp_path: Path) -> None:
    server = Valkey(tmp_path, tmp_path / "valkey.log", port=free_port())
    for _ in range(2):
        await server.start()
        assert await server.answers()
        await server.stop()


async def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    taken = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    try:
        server = Valkey(tmp_path, tmp_path / "valkey.log", port=taken.sockets[0].getsockname()[1])
        with pytest.raises(NotReady, match="Valkey"):
            await server.start()
    finally:
        taken.close()
        await taken.wait_closed()
