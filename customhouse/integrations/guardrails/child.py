"""`python -m …guardrails.child FD`: loads the validators once, and is then copied for each process that judges.

A copy takes milliseconds where an import takes seconds. So a process in which a validator hangs can be killed, and the
next text has a new one. The parent says what to do over the socket FD, and when it ends, all of this ends.
"""

from __future__ import annotations

import ctypes
import gc
import mmap
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from customhouse.governance.validators import ValidatorRule
from customhouse.integrations.guardrails import wire
from customhouse.integrations.guardrails.judge import Unit, Unusable, build
from customhouse.integrations.guardrails.quiet import NoNetwork, Offline, import_guardrails

COPY = b"c"

_PR_SET_PDEATHSIG = 1


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    offline = Offline()
    offline.start()
    message = wire.receive(control)
    # A constructor that hangs must not outlive a parent that is killed meanwhile.
    signal.alarm(int(message["timeout_s"]))
    rules = [ValidatorRule.model_validate(rule) for rule in message["rules"]]
    units, faults = _build(rules, offline)
    signal.alarm(0)
    wire.send(control, {"faults": faults, "threads": sum(1 for _ in Path("/proc/self/task").iterdir())})
    if not faults:
        gc.collect()
        gc.freeze()
        _copy_on_demand(control, Judges(units, offline))


def _build(rules: Sequence[ValidatorRule], offline: Offline) -> tuple[list[Unit], list[tuple[int, str, str]]]:
    units: list[Unit] = []
    faults: list[tuple[int, str, str]] = []
    library = import_guardrails()
    for index, rule in enumerate(rules):
        try:
            units.append(build(rule, library, offline))
        except Unusable as error:
            faults.append((index, error.field, error.message))
    return units, faults


class Judges:
    """All rules' units, by index."""

    def __init__(self, units: Sequence[Unit], offline: Offline) -> None:
        self._units = units
        self._offline = offline

    def judge(self, request: Any, at: mmap.mmap, connection: socket.socket) -> None:
        """Says at once what fails or breaks, and null at the end: the rest has passed.

        `at` says which rule is being judged by: whoever waits in vain reads there which one hangs.
        """
        texts = request["texts"]
        for rule, chosen in request["jobs"]:
            at[0] = rule
            for text in chosen:
                if said := self._one(rule, texts[text]):
                    wire.send(connection, {"rule": rule, "text": text, **said})
        wire.send(connection, None)

    def _one(self, rule: int, text: str) -> Any:
        attempts = self._offline.attempts
        try:
            failed = self._units[rule].judge(text)
        except Exception as error:  # noqa: BLE001 - a validator may raise anything; its words may hold the text
            return {"broken": type(error).__name__}
        if self._offline.attempts > attempts:  # what it said, it said without what it asked for
            return {"broken": NoNetwork.__name__}
        return None if failed is None else {"failed": failed.model_dump()}


def _copy_on_demand(control: socket.socket, judges: Judges) -> None:
    """Serves until the parent has gone."""
    while True:
        command, descriptors, _, _ = socket.recv_fds(control, 1, 2)
        if command != COPY:
            return
        _reap()
        connection, progress = descriptors
        pid = os.fork()
        if pid == 0:
            control.close()
            _serve(socket.socket(fileno=connection), progress, judges)
        os.close(connection)
        os.close(progress)
        wire.send(control, pid)


def _serve(connection: socket.socket, progress: int, judges: Judges) -> None:
    """Judges what it is sent, until the connection closes. Never returns."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        with mmap.mmap(progress, 1) as at:
            while True:
                judges.judge(wire.receive(connection), at, connection)
    except wire.Closed:
        os._exit(0)
    finally:
        os._exit(1)


def _reap() -> None:
    """Copies that have ended leave the process table."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


if __name__ == "__main__":
    main()
