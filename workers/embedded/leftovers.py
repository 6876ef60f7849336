"""What a `kill -9` has left running.

Pid files tell. They hold the start time too, so that a pid which the system has given to another process since is never
mistaken for ours.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path

import psutil

PATIENCE_S = 10.0
"""Seconds that a leftover gets to end before it is killed."""


def write_pid_file(path: Path, pid: int) -> None:
    path.write_text(json.dumps({"pid": pid, "started": psutil.Process(pid).create_time()}), encoding="utf-8")


def find_leftover(pid_file: Path) -> psutil.Process | None:
    """The process that the pid file names, if it still runs and is the very same one."""
    try:
        record = json.loads(pid_file.read_text(encoding="utf-8"))
        process = psutil.Process(int(record["pid"]))
        same = abs(process.create_time() - float(record["started"])) < 1
    except (FileNotFoundError, psutil.NoSuchProcess):
        return None
    except (ValueError, KeyError, TypeError):  # cut off by a crash or a full disk: nothing is known, nothing is killed
        return None
    return process if same and process.status() != psutil.STATUS_ZOMBIE else None


def end_leftover(pid_file: Path, stop_signal: signal.Signals = signal.SIGTERM) -> None:
    """End what the pid file names, should it still run, and remove the file. Blocks for up to twice PATIENCE_S."""
    process = find_leftover(pid_file)
    if process is not None:
        end_processes([process], stop_signal)
    pid_file.unlink(missing_ok=True)


def end_leftovers(folder: Path) -> None:
    """End whatever a pid file in the folder names. Blocks for up to twice PATIENCE_S."""
    found = [process for file in folder.glob("*.pid") if (process := find_leftover(file)) is not None]
    # The one signal that every part takes as "end soon, in order": at SIGTERM, Postgres would wait for its clients.
    end_processes(found, signal.SIGINT)
    for file in folder.glob("*.pid"):
        file.unlink()


def end_processes(processes: list[psutil.Process], stop_signal: signal.Signals) -> None:
    """Signal them, wait, and kill those that stay. Blocks for up to twice PATIENCE_S."""
    for process in processes:
        if process.is_running():
            process.send_signal(stop_signal)
    _, alive = psutil.wait_procs(processes, timeout=PATIENCE_S)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=PATIENCE_S)
