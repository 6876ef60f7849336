from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from customhouse import __version__
from customhouse.storage.keys import Role
from workers.cli import KeyRole
from workers.settings import PREFIX


def customhouse(*arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command with no settings but those given."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return subprocess.run(
        [sys.executable, "-m", "workers.cli", *arguments],
        cwd=cwd,
        env={**clean, "PYTHONPATH": str(Path.cwd()), "COLUMNS": "200", **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_help_lists_every_command(tmp_path: Path) -> None:
    done = customhouse("--help", cwd=tmp_path)
    assert done.returncode == 0
    for command in ("up", "api", "worker", "migrate", "doctor", "keys", "catalog", "version"):
        assert f"│ {command} " in done.stdout


def test_help_loads_no_database_web_or_temporal_library() -> None:
    program = "import sys, workers.cli; print(*({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"sqlalchemy", "fastapi", "temporalio", "psycopg", "httpx"} & set(loaded)


def test_version(tmp_path: Path) -> None:
    assert customhouse("version", cwd=tmp_path).stdout == f"{__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "environ", "says"),
    [
        (["up"], {"CUSTOMHOUSE_PORT": "http"}, "customhouse: CUSTOMHOUSE_PORT=http: "),
        (["up"], {"CUSTOMHOUSE_CATALOG": "/no/such"}, "customhouse: The catalog /no/such cannot be read: "),
        (["up"], {"CUSTOMHOUSE_DATA_DIR": "/proc/x"}, "customhouse: The data folder /proc/x cannot be used: "),
        (["migrate"], {}, "customhouse: There is no database: set CUSTOMHOUSE_DATABASE_URL "),
        (["keys", "list"], {}, "customhouse: There is no database: set CUSTOMHOUSE_DATABASE_URL "),
        (["api"], {}, "customhouse: There is no database: set CUSTOMHOUSE_DATABASE_URL "),
        (["worker"], {"CUSTOMHOUSE_ENCRYPTION_KEY": "abc"}, "customhouse: encryption key 1 "),
        (["catalog", "check", "/no/such"], {}, "customhouse: The catalog /no/such cannot be read: "),
        (["doctor", "--only", "heart"], {}, "customhouse: There is no part heart; there are settings, "),
    ],
)
def test_bad_configuration_is_one_line_and_exit_code_2(
    tmp_path: Path, arguments: list[str], environ: dict[str, str], says: str
) -> None:
    done = customhouse(*arguments, cwd=tmp_path, **environ)
    assert done.returncode == 2, done
    assert done.stderr.startswith(says)
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_database_that_is_down_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    done = customhouse("migrate", cwd=tmp_path, CUSTOMHOUSE_DATABASE_URL="postgresql://u:hush@127.0.0.1:1/x")
    assert done.returncode == 1
    assert done.stderr.startswith("customhouse: Postgres at postgresql://u:***@127.0.0.1:1/x cannot be reached")
    assert "hush" not in done.stderr
    assert "Traceback" not in done.stderr


def test_catalog_check_tells_what_is_on(tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(
        "providers:\n"
        '  - {name: mock, kind: openai, base_url: "http://127.0.0.1:9100/v1", api_key_env: MOCK_KEY}\n'
        '  - {name: cloud, kind: openai, base_url: "http://127.0.0.1:9101/v1", api_key_env: CLOUD_KEY, requires_key: true}\n'
        "deployments:\n"
        "  - {model: a, provider: mock}\n"
        "  - {model: b, provider: cloud}\n"
    )
    done = customhouse("catalog", "check", str(catalog), cwd=tmp_path)
    assert done.returncode == 0
    assert "a@mock@global" in done.stdout
    assert "off: CLOUD_KEY is not set" in done.stdout


def test_catalog_check_names_line_and_field(tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text("providers: []\ndeployments:\n  - {model: a, provider: nowhere}\n")
    done = customhouse("catalog", "check", str(catalog), cwd=tmp_path)
    assert done.returncode == 2
    assert f"{catalog}:3: deployments.0.provider" in done.stderr


def test_roles_of_the_command_are_those_of_the_storage() -> None:
    assert {role.value for role in KeyRole} == {role.value for role in Role}


def test_keys_are_made_listed_and_revoked(tmp_path: Path, database_url: str) -> None:
    def keys(*arguments: str) -> subprocess.CompletedProcess[str]:
        return customhouse("keys", *arguments, cwd=tmp_path, CUSTOMHOUSE_DATABASE_URL=database_url)

    made = keys("create", "ci", "--role", "operator", "--expires-in-days", "7")
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("ck_")
    key_id = made.stderr.split()[1]
    listed = keys("list").stdout
    assert key_id in listed
    assert "operator" in listed
    assert "valid until" in listed
    assert made.stdout.strip() not in listed
    assert keys("revoke", key_id).returncode == 0
    assert "revoked" in keys("list").stdout

    assert (
        keys("revoke", "nonsense").stderr
        == "customhouse: 'nonsense' is no key id. `customhouse keys list` shows them.\n"
    )
    assert keys("list", "--organization", "nobody").returncode == 1
