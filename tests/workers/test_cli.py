from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from customhouse import __version__
from customhouse.contracts.governance import Direction
from customhouse.storage.keys import Role
from tests.governance.samples import SECRETS
from workers.cli import KeyRole, TextDirection, main
from workers.settings import PREFIX, Settings, variable


def customhouse(
    *arguments: str, cwd: Path, stdin: str | None = None, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run the command with no settings but those given."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return subprocess.run(
        [sys.executable, "-m", "workers.cli", *arguments],
        cwd=cwd,
        env={**clean, "PYTHONPATH": str(Path.cwd()), "COLUMNS": "200", **environ},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_help_lists_every_command(tmp_path: Path) -> None:
    done = customhouse("--help", cwd=tmp_path)
    assert done.returncode == 0
    for command in ("up", "api", "worker", "migrate", "doctor", "check", "keys", "catalog", "version"):
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
        (["catalog", "check", "/no/such"], {}, "customhouse: The catalog /no/such cannot be read: "),
        (["doctor", "--only", "heart"], {}, "customhouse: There is no part heart; there are settings, "),
    ],
)
def test_bad_configuration_is_one_line_and_exit_code_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    environ: dict[str, str],
    says: str,
) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(variable(field), raising=False)
    monkeypatch.setenv("CUSTOMHOUSE_DATA_DIR", str(tmp_path / "data"))
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["customhouse", *arguments])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(says)
    assert said.count("\n") == 1


@pytest.mark.parametrize("command", ["api", "worker"])
def test_serving_process_without_temporal_says_so(tmp_path: Path, command: str) -> None:
    done = customhouse(command, cwd=tmp_path, CUSTOMHOUSE_DATABASE_URL="postgresql://u@127.0.0.1:1/x")
    assert done.returncode == 2, done
    assert done.stderr.startswith("customhouse: There is no Temporal: set CUSTOMHOUSE_TEMPORAL_ADDRESS (host:port)")
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
        '  - {name: cloud, kind: anthropic, base_url: "http://cloud", api_key_env: CLOUD_KEY, requires_key: true}\n'
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
    assert f"{catalog}:3: deployments[0].provider" in done.stderr


def test_check_shows_findings_and_ends_with_json(tmp_path: Path) -> None:
    run = customhouse("check", "Mail bob@acme.io", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    document = json.loads(run.stdout.splitlines()[-1])
    assert document["verdict"] == "redact"
    assert [(each["kind"], each["action"]) for each in document["findings"]] == [("email", "redact")]


def test_check_reads_standard_input_and_fails_where_the_text_is_blocked(tmp_path: Path) -> None:
    run = customhouse("check", "--direction", "tool_result", cwd=tmp_path, stdin=f"key {SECRETS['github_token']}")
    assert run.returncode == 1, run.stderr
    assert json.loads(run.stdout.splitlines()[-1])["verdict"] == "block"


def test_directions_of_the_command_are_those_of_the_contract() -> None:
    assert [each.value for each in TextDirection] == [each.value for each in Direction]


def test_roles_of_the_command_are_those_of_the_storage() -> None:
    assert {role.value for role in KeyRole} == {role.value for role in Role}


def test_new_key_alone_goes_to_standard_output(tmp_path: Path, database_url: str) -> None:
    done = customhouse("keys", "create", "ci", cwd=tmp_path, CUSTOMHOUSE_DATABASE_URL=database_url)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"ck_[\w-]{43}\n", done.stdout)
    assert "shown this once" in done.stderr
