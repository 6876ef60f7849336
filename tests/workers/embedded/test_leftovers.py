from __future__ import annotations

import json
import os
from pathlib import Path

import psutil
import pytest

from tests.workers.embedded.programs import SLEEPER, FakePart, child, is_gone
from workers.embedded.leftovers import end_leftover, end_leftovers, find_leftover, write_pid_file


def test_same_process_is_found(tmp_path: Path) -> None:
    file = tmp_path / "x.pid"
    write_pid_file(file, os.getpid())
    assert find_leftover(file) == psutil.Process()


def test_recycled_pid_is_never_ended(tmp_path: Path) -> None:
    """The pid is that of this very test process, but it was started at another time than the file says."""
    file = tmp_path / "x.pid"
    file.write_text(json.dumps({"pid": os.getpid(), "started": psutil.Process().create_time() - 3600}))
    assert find_leftover(file) is None
    end_leftover(file)
    assert not file.exists()


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"pid": "x", "started": 1}', '{"pid": 1}', "null"])
def test_damaged_file_ends_nothing(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "x.pid"
    file.write_text(damage)
    assert find_leftover(file) is None


def test_no_file_no_leftover(tmp_path: Path) -> None:
    assert find_leftover(tmp_path / "x.pid") is None


async def test_all_of_a_folder_are_ended(tmp_path: Path) -> None:
    parts = [FakePart(child(tmp_path, SLEEPER, name)) for name in ("One", "Two")]
    for part in parts:
        await part.start()
    end_leftovers(tmp_path)
    assert all(part.process.pid is not None and is_gone(part.process.pid) for part in parts)
    assert not any(part.process.pid_file.exists() for part in parts)
