from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from customhouse.contracts.errors import ConfigurationError, NotReady
from tests.workers.embedded.programs import CRASHER, PARENT, SLEEPER, STUBBORN, FakePart, child, is_gone, until
from workers.embedded import process as process_module
from workers.embedded.process import rotate


async def test_starts_and_stops(tmp_path: Path) -> None:
    part = FakePart(child(tmp_path, SLEEPER))
    await part.start()
    assert (tmp_path / "sleeper.pid").exists()
    await part.stop()
    assert part.process.exit_code == -signal.SIGTERM
    assert not (tmp_path / "sleeper.pid").exists()


async def test_one_that_will_not_stop_is_killed(tmp_path: Path) -> None:
    part = FakePart(child(tmp_path, STUBBORN, stop_timeout_s=0.05))
    await part.start()
    await part.stop()
    assert part.process.exit_code == -signal.SIGKILL


async def test_one_that_dies_at_once_is_told_with_its_last_words(tmp_path: Path) -> None:
    part = FakePart(child(tmp_path, CRASHER, "Crasher"))
    with pytest.raises(NotReady) as caught:
        await part.start()
    assert caught.value.message == (
        f"Crasher ended with exit code 3. Its log {tmp_path / 'crasher.log'} ends: no such table: dreams"
    )


async def test_last_words_of_an_earlier_run_are_not_quoted(tmp_path: Path) -> None:
    quiet = child(tmp_path, "", "Quiet")
    quiet.spec.log.write_text("words of yesterday\n")
    await quiet.start()
    await quiet.wait()
    assert quiet.obituary() == f"Quiet ended with exit code 0. It has logged nothing to {quiet.spec.log}."


async def test_one_that_never_serves_is_given_up(tmp_path: Path) -> None:
    silent = child(tmp_path, SLEEPER)

    async def never() -> bool:
        return False

    await silent.start()
    with pytest.raises(NotReady, match="Sleeper did not serve within 0 s"):
        await silent.wait_ready(never, timeout_s=0.1)
    await silent.stop()


async def test_log_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "sleeper.log").mkdir()
    with pytest.raises(ConfigurationError, match="Sleeper cannot be started"):
        await child(tmp_path, SLEEPER).start()


async def test_leftover_is_ended_before_a_new_start(tmp_path: Path) -> None:
    left = FakePart(child(tmp_path, SLEEPER))
    await left.start()
    again = FakePart(child(tmp_path, SLEEPER))
    await again.start()
    assert left.process.pid is not None
    assert is_gone(left.process.pid)
    assert again.process.exit_code is None
    await again.stop()


KILLED_PARENT = """
import asyncio, os, signal, sys
from pathlib import Path
from tests.workers.embedded.programs import SLEEPER, FakePart, child

async def main():
    part = FakePart(child(Path(sys.argv[1]), SLEEPER))
    await part.start()
    print(part.process.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def test_child_dies_with_a_killed_parent(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED_PARENT, str(tmp_path)], capture_output=True, text=True, cwd=Path.cwd()
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    pid = int(done.stdout)
    deadline = time.monotonic() + 10
    while not is_gone(pid):
        assert time.monotonic() < deadline, "the child outlives its parent"


async def test_force_ends_the_whole_group(tmp_path: Path) -> None:
    part = FakePart(child(tmp_path, PARENT))
    await part.start()
    (grandchild,) = psutil.Process(part.process.pid).children()
    part.process.kill()
    assert await part.process.wait() == -signal.SIGKILL
    await until(lambda: is_gone(grandchild.pid), "the grandchild is gone")


def test_large_log_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_module, "LOG_LIMIT_BYTES", 10)
    log = tmp_path / "x.log"
    log.write_text("0123456789")
    rotate(log)
    assert log.exists()
    log.write_text("0123456789a")
    rotate(log)
    assert not log.exists()
    assert (tmp_path / "x.log.1").read_text() == "0123456789a"


async def test_child_is_in_a_session_of_its_own(tmp_path: Path) -> None:
    """So that Ctrl-C on the terminal reaches the parent alone."""
    part = FakePart(child(tmp_path, SLEEPER))
    await part.start()
    assert part.process.pid is not None
    assert os.getsid(part.process.pid) == part.process.pid
    await part.stop()
