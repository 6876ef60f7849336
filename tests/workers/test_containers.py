"""The container files: no engine is needed to see that they are whole, pinned, and speak of settings that exist."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from customhouse import __version__
from workers.cli import app
from workers.doctor.run import PARTS
from workers.settings import PREFIX, Settings, variable

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONE_SHOT = {"migrate", "temporal-schema", "temporal-namespace"}
PINNED = re.compile(r"^[a-z0-9./-]+:[0-9]+\.[0-9]+\.[0-9]+[a-z0-9.-]*$")


def test_every_part_is_there() -> None:
    assert set(SERVICES) == ONE_SHOT | {"postgres", "temporal", "temporal-ui", "api", "worker"}


@pytest.mark.parametrize("name", SERVICES)
def test_image_is_pinned(name: str) -> None:
    assert PINNED.match(SERVICES[name]["image"]), SERVICES[name]["image"]


def test_own_image_bears_the_version() -> None:
    assert SERVICES["api"]["image"] == f"customhouse:{__version__}"


@pytest.mark.parametrize("name", set(SERVICES) - ONE_SHOT)
def test_long_running_service_has_a_health_check_and_restarts(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] in ("CMD", "CMD-SHELL")
    assert {"interval", "timeout", "retries"} <= set(check)
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", SERVICES)
def test_dependency_is_a_service_in_a_state_that_it_can_reach(name: str) -> None:
    for needed, condition in SERVICES[name].get("depends_on", {}).items():
        state = "service_completed_successfully" if needed in ONE_SHOT else "service_healthy"
        assert condition == {"condition": state}


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_open_to_this_machine_alone(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", ["migrate", "api", "worker"])
def test_environment_is_settings_that_exist(name: str) -> None:
    known = {variable(field) for field in Settings.model_fields}
    ours = {key for key in SERVICES[name]["environment"] if key.startswith(PREFIX)}
    assert ours <= known
    assert {"CUSTOMHOUSE_DATABASE_URL", "CUSTOMHOUSE_TEMPORAL_ADDRESS", "CUSTOMHOUSE_ADMIN_KEY"} <= ours


@pytest.mark.parametrize("name", ["migrate", "api", "worker"])
def test_command_exists(name: str) -> None:
    commands = {(command.name or command.callback.__name__) for command in app.registered_commands if command.callback}
    assert SERVICES[name]["command"][0] in commands


def test_worker_is_asked_about_parts_that_exist() -> None:
    check = SERVICES["worker"]["healthcheck"]["test"]
    assert {part for flag, part in pairwise(check) if flag == "--only"} <= set(PARTS)


@pytest.mark.parametrize("name", SERVICES)
def test_mounted_file_is_in_the_repository(name: str) -> None:
    for volume in SERVICES[name].get("volumes", []):
        source = volume.split(":")[0]
        assert source in COMPOSE["volumes"] or (ROOT / source).is_file()


def test_no_password_is_written_down() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for line in text.splitlines():
        if re.match(r"\s+\w*(PASSWORD|PWD|_KEY):", line):
            assert "${" in line, line


def test_image_is_built_from_a_pinned_base_and_runs_without_root() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    bases = [line.split()[1] for line in lines if line.startswith("FROM")]
    assert len(bases) == 2
    assert all(re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", base) for base in bases)
    final = lines[max(i for i, line in enumerate(lines) if line.startswith("FROM")) :]
    assert "USER customhouse" in final


def test_image_is_built_by_the_locked_uv() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    locked = re.search(r"^uv==(\S+)", lock, re.MULTILINE)
    assert locked is not None
    assert f'"uv=={locked[1]}"' in (ROOT / "Dockerfile").read_text()


def test_lock_is_pinned_with_hashes_and_names_no_host() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    entries = re.split(r"\n(?=[a-z0-9])", lock)
    assert len(entries) > 100
    assert all(re.match(r"[a-z0-9._-]+==\S+", entry) and "--hash=sha256:" in entry for entry in entries)
    assert "llama-cpp-python" not in lock
