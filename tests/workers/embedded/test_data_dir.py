from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import NamedTuple

import pytest

from customhouse.contracts.errors import ConfigurationError
from workers.embedded.data_dir import DataDir


def test_second_user_is_told_who_has_it(tmp_path: Path) -> None:
    with DataDir(tmp_path / "data"), pytest.raises(ConfigurationError) as caught, DataDir(tmp_path / "data"):
        pass
    assert f"(pid {os.getpid()}) uses the data folder {tmp_path / 'data'}" in caught.value.message
    assert "CUSTOMHOUSE_DATA_DIR" in caught.value.message


def test_lock_is_given_up_at_the_end(tmp_path: Path) -> None:
    for _ in range(2):
        with DataDir(tmp_path / "data"):
            pass


def test_two_folders_do_not_meet(tmp_path: Path) -> None:
    with DataDir(tmp_path / "a") as a, DataDir(tmp_path / "b") as b:
        assert a.run != b.run


def test_key_is_made_once_and_nobody_else_can_read_it(tmp_path: Path) -> None:
    with DataDir(tmp_path / "data") as data:
        key = data.admin_key()
    with DataDir(tmp_path / "data") as data:
        assert data.admin_key() == key
    assert key.startswith("ck_")
    assert len(key) == 46
    assert stat.S_IMODE((tmp_path / "data" / "admin_key").stat().st_mode) == 0o600


def test_damaged_key_is_told(tmp_path: Path) -> None:
    with DataDir(tmp_path / "data") as data:
        data.admin_key()
        (data.path / "admin_key").write_bytes(b"\xff\x00")
        with pytest.raises(ConfigurationError, match="admin_key does not hold a key"):
            data.admin_key()


def test_file_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(ConfigurationError) as caught, DataDir(tmp_path / "data"):
        pass
    assert f"The data folder {tmp_path / 'data'} cannot be used: " in caught.value.message
    assert "\n" not in caught.value.message


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_full_disk_is_told_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 10**12, 1_000_000))
    with pytest.raises(ConfigurationError) as caught, DataDir(tmp_path / "data"):
        pass
    assert "is full: 1 MB are free, 268 MB are needed" in caught.value.message
