from __future__ import annotations

import stat
from pathlib import Path

import pytest

from workers.embedded.attach import attach, publish, withdraw
from workers.settings import Settings, load_settings, variable


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(variable(field), raising=False)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    publish(folder, {"database_url": "postgresql+psycopg://postgres@/x?host=/s", "model_port": 4711})
    return folder


def test_what_settings_leave_open_comes_from_the_running_stack(tmp_path: Path, run: Path) -> None:
    settings = attach(load_settings(data_dir=tmp_path))
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql+psycopg://postgres@/x?host=/s"
    assert settings.model_port == 4711
    assert stat.S_IMODE((run / "connections.json").stat().st_mode) == 0o600


@pytest.mark.usefixtures("run")
def test_settings_win(tmp_path: Path) -> None:
    settings = attach(load_settings(data_dir=tmp_path, database_url="postgresql://elsewhere/x"))
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://elsewhere/x"


def test_nothing_after_the_stack_has_stopped(tmp_path: Path, run: Path) -> None:
    withdraw(run)
    assert attach(load_settings(data_dir=tmp_path)).database_url is None
