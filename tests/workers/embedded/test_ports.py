from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from customhouse.contracts.errors import ConfigurationError
from workers.embedded.ports import free_port, is_free, remembered_port, require_free


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_taken_port_is_told_with_holder_and_mend(taken: int) -> None:
    with pytest.raises(ConfigurationError) as caught:
        require_free(taken, "127.0.0.1", "CUSTOMHOUSE_PORT")
    message = caught.value.message
    assert f"Port {taken} on 127.0.0.1 is taken by " in message
    assert "set CUSTOMHOUSE_PORT to another port" in message
    assert "\n" not in message


def test_free_port_is_free() -> None:
    port = free_port()
    assert is_free(port)
    require_free(port, "127.0.0.1", "CUSTOMHOUSE_PORT")


def test_port_is_remembered(tmp_path: Path) -> None:
    memory = tmp_path / "x.port"
    first = remembered_port(None, memory)
    assert remembered_port(None, memory) == first


def test_remembered_port_that_is_taken_is_given_up(tmp_path: Path, taken: int) -> None:
    memory = tmp_path / "x.port"
    memory.write_text(str(taken))
    port = remembered_port(None, memory)
    assert port != taken
    assert memory.read_text().strip() == str(port)


@pytest.mark.parametrize("damage", ["", "abc", "99999", "-1", "²"])
def test_damaged_memory_is_replaced(tmp_path: Path, damage: str) -> None:
    memory = tmp_path / "x.port"
    memory.write_text(damage, encoding="utf-8")
    assert 0 < remembered_port(None, memory) < 65536


def test_wanted_port_wins(tmp_path: Path) -> None:
    assert remembered_port(4711, tmp_path / "x.port") == 4711
    assert not (tmp_path / "x.port").exists()
