from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from customhouse.contracts.errors import NotReady
from tests.workers.embedded.programs import CRASHER, SLEEPER, STUBBORN, FakePart, child, until
from workers.embedded import supervisor as supervisor_module
from workers.embedded.supervisor import QUICK_FAILURES, Supervisor


class Reports:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __call__(self, name: str, state: str) -> None:
        self.lines.append((name, state.split()[0].rstrip(":")))


@pytest.fixture
def reports() -> Reports:
    return Reports()


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "FIRST_PAUSE_S", 0.001)


async def test_groups_start_in_order_and_stop_in_reverse(tmp_path: Path, reports: Reports) -> None:
    parts = [FakePart(child(tmp_path, SLEEPER, name)) for name in ("Base", "App")]
    supervisor = Supervisor([[part] for part in parts], reports)
    await supervisor.start()
    await supervisor.stop()
    assert reports.lines == [
        ("Base", "starting"), ("Base", "ready"), ("App", "starting"), ("App", "ready"),
        ("App", "stopping"), ("App", "stopped"), ("Base", "stopping"), ("Base", "stopped"),
    ]  # fmt: skip


async def test_part_that_dies_is_started_again(tmp_path: Path, reports: Reports) -> None:
    part = FakePart(child(tmp_path, SLEEPER))
    supervisor = Supervisor([[part]], reports)
    await supervisor.start()
    watching = asyncio.create_task(supervisor.watch())
    first = part.process.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: reports.lines.count(("Sleeper", "ready")) == 2, "ready again")
    assert part.process.pid != first
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    await supervisor.stop()
    assert ("Sleeper", "restarting") in reports.lines


async def test_part_that_keeps_failing_is_given_up(tmp_path: Path, reports: Reports) -> None:
    program = "import os; print('up', flush=True); print('the disk is on fire', flush=True); os._exit(7)"
    part = FakePart(child(tmp_path, program, "Flicker"))
    steady = FakePart(child(tmp_path, SLEEPER))
    supervisor = Supervisor([[steady], [part]], reports)
    await supervisor.start()
    with pytest.raises(NotReady) as caught:
        await supervisor.watch()
    assert caught.value.message.startswith(f"Flicker has failed {QUICK_FAILURES} times in a row and is given up. ")
    assert caught.value.message.endswith("the disk is on fire")
    assert part.starts == QUICK_FAILURES
    assert steady.process.exit_code is None
    await supervisor.stop()


async def test_failing_start_is_raised_and_the_rest_can_be_stopped(tmp_path: Path, reports: Reports) -> None:
    good = FakePart(child(tmp_path, SLEEPER))
    bad = FakePart(child(tmp_path, CRASHER, "Crasher"))
    never = FakePart(child(tmp_path, SLEEPER, "Never"))
    supervisor = Supervisor([[good, bad], [never]], reports)
    with pytest.raises(NotReady, match="Crasher ended with exit code 3"):
        await supervisor.start()
    await supervisor.stop()
    assert good.process.pid is None or good.process.exit_code is not None
    assert never.starts == 0


async def test_force_cuts_a_stop_short(tmp_path: Path, reports: Reports) -> None:
    part = FakePart(child(tmp_path, STUBBORN, stop_timeout_s=600))
    supervisor = Supervisor([[part]], reports)
    await supervisor.start()
    stopping = asyncio.create_task(supervisor.stop())
    await until(lambda: ("Sleeper", "stopping") in reports.lines, "stopping")
    supervisor.force()
    await stopping
    assert part.process.exit_code == -signal.SIGKILL
