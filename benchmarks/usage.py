"""CPU and memory of processes, with all that they have started, as the kernel counts them in /proc."""

from __future__ import annotations

import psutil

MIB = 2**20


def family(process: psutil.Process) -> list[psutil.Process]:
    """The process and its descendants."""
    return [process, *process.children(recursive=True)]


def cpu_seconds(process: psutil.Process) -> float:
    """User and system time of the process and its descendants, those that have ended included."""
    total = 0.0
    for member in family(process):
        try:
            times = member.cpu_times()
        except psutil.NoSuchProcess:  # it has ended since it was listed; its parent's `children_*` bear it from now on
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def rss_mib(process: psutil.Process) -> float:
    """Resident memory of the process alone, in MiB."""
    return float(process.memory_info().rss) / MIB
