"""`customhouse up` for real: start, answer, `kill -9`, start again with its data, stop."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from workers.embedded.ports import free_port
from workers.settings import PREFIX

PATIENCE_S = 120


class Up:
    """One run of the command, with a data folder of its own."""

    def __init__(self, folder: Path, port: int, **environ: str) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        self.output = folder / "output"
        with self.output.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "workers.cli", "up"],
                env={**clean, "CUSTOMHOUSE_DATA_DIR": str(folder / "data"), "CUSTOMHOUSE_PORT": str(port), **environ},
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    @property
    def text(self) -> str:
        return self.output.read_text()

    def wait_for_panel(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while "Ctrl-C stops everything" not in self.text:
            assert self.process.poll() is None, self.text
            assert time.monotonic() < deadline, self.text
            time.sleep(0.05)

    def shown(self, name: str) -> str:
        found = re.search(rf"^{name}: (.+)$", self.text, re.MULTILINE)
        assert found is not None, self.text
        return found[1]

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="ch-up-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def runs() -> Iterator[list[Up]]:
    started: list[Up] = []
    yield started
    for up in started:
        up.process.kill()
        up.process.wait()


def test_it_answers_survives_kill_9_with_its_data_and_stops_in_order(folder: Path, runs: list[Up]) -> None:
    port = free_port()
    first = Up(folder, port)
    runs.append(first)
    first.wait_for_panel()
    key, ui = first.shown("API key"), first.shown("Temporal Web UI")

    snippet = first.text.partition("With Python (pip install openai):")[2].partition("Ctrl-C")[0]
    pasted = subprocess.run([sys.executable, "-c", snippet], capture_output=True, text=True, check=False)
    assert pasted.returncode == 0, pasted.stderr
    assert pasted.stdout.strip()
    assert httpx.get(ui).status_code == 200

    left = first.children()
    first.process.kill()
    first.process.wait()

    second = Up(folder, port)
    runs.append(second)
    second.wait_for_panel()
    assert (second.shown("API key"), second.shown("Temporal Web UI")) == (key, ui)
    assert not [process for process in left if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {key}"}) as client:
        assert client.get("/readyz").status_code == 200
        assert len(client.get("/api/v1/invocations").json()["data"]) == 1

    children = second.children()
    second.process.send_signal(signal.SIGTERM)
    assert second.process.wait(PATIENCE_S) == 0
    stopped = re.findall(r"^(.+): stopped$", second.text, re.MULTILINE)
    assert stopped == ["Customhouse", "Local model", "Temporal", "Postgres"]
    assert not [process for process in children if process.is_running()]


def test_taken_port_is_one_line_before_anything_starts(folder: Path, runs: list[Up]) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        up = Up(folder, server.getsockname()[1])
        runs.append(up)
        assert up.process.wait(PATIENCE_S) == 2
    assert re.fullmatch(r"customhouse: Port \d+ on 127\.0\.0\.1 is taken by .+ set CUSTOMHOUSE_PORT .+\n", up.text)
    assert not (folder / "data" / "postgres").exists()
