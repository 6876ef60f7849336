"""One child process: start it, wait until it serves, stop it, and say how it ended."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from customhouse.contracts.errors import ConfigurationError, NotReady
from workers.embedded import launch
from workers.embedded.leftovers import end_leftover, write_pid_file

LOG_LIMIT_BYTES = 50 * 1024 * 1024
"""A log larger than this is moved to `*.log.1` when its process starts."""

POLL_S = 0.02

TAIL_BYTES, TAIL_LINES, TAIL_LINE_CHARS = 8192, 5, 300
"""How much of a log an error quotes."""


@dataclass(frozen=True)
class ProcessSpec:
    """How to run one child."""

    name: str
    command: tuple[str, ...]
    log: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    """The child's whole environment."""
    cwd: Path | None = None
    user: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 10
    """Seconds from the stop signal to SIGKILL."""
    force_signal: signal.Signals = signal.SIGKILL
    """Sent, to it and all that it started, when it must end at once."""
    orphan_signal: signal.Signals = signal.SIGKILL
    """Sent by the kernel when the parent dies (Linux)."""


class ChildProcess:
    """A child that may be started again after it has ended."""

    def __init__(self, spec: ProcessSpec, pid_file: Path) -> None:
        self.spec = spec
        self.pid_file = pid_file
        self._process: asyncio.subprocess.Process | None = None
        self._log_offset = 0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def exit_code(self) -> int | None:
        """None while it runs, or has never been started; negative for a signal."""
        return self._process.returncode if self._process else None

    async def start(self) -> None:
        """Start it, once what a killed parent has left of it is ended.

        Raises ConfigurationError if the program or its log cannot be opened.
        """
        spec = self.spec
        arguments = (str(os.getpid()), str(int(spec.orphan_signal)), spec.user or "")
        try:
            await asyncio.to_thread(end_leftover, self.pid_file, spec.stop_signal)
            rotate(spec.log)
            with spec.log.open("ab") as log:
                self._log_offset = log.tell()
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable, "-I", "-S", launch.__file__, *arguments, *spec.command,
                    stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env=dict(spec.environ), cwd=spec.cwd,
                    start_new_session=True,  # Ctrl-C must reach the parent alone: it stops the children in order
                )  # fmt: skip
            write_pid_file(self.pid_file, self._process.pid)
        except OSError as error:
            raise ConfigurationError(f"{spec.name} cannot be started: {error}") from error

    async def wait(self) -> int:
        """Wait until it has ended; its exit code, negative for a signal."""
        if self._process is None:
            raise RuntimeError(f"{self.spec.name} has not been started")
        return await self._process.wait()

    async def wait_ready(self, probe: Callable[[], Awaitable[bool]], timeout_s: float) -> None:
        """Poll `probe` until it is true. NotReady, with the log's last lines, if the child dies or time runs out."""
        deadline = time.monotonic() + timeout_s
        while not await probe():
            if self.exit_code is not None:
                raise NotReady(self.obituary())
            if time.monotonic() > deadline:
                raise NotReady(f"{self.spec.name} did not serve within {timeout_s:.0f} s. {self._log_end()}")
            await asyncio.sleep(POLL_S)

    async def stop(self) -> None:
        """Ask it to end, and kill it if it does not. Does nothing if it has ended."""
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            process.send_signal(self.spec.stop_signal)
            try:
                await asyncio.wait_for(process.wait(), self.spec.stop_timeout_s)
            except TimeoutError:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        self.pid_file.unlink(missing_ok=True)

    def kill(self) -> None:
        """End it, and all that it started, at once."""
        if self._process is not None and self._process.returncode is None:
            os.killpg(self._process.pid, self.spec.force_signal)

    def obituary(self) -> str:
        """How it ended, and its last words, in one line."""
        code = self.exit_code
        how = f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"
        return f"{self.spec.name} ended with {how}. {self._log_end()}"

    def _log_end(self) -> str:
        """The last lines that this run has logged."""
        log = self.spec.log
        with log.open("rb") as file:
            file.seek(max(self._log_offset, log.stat().st_size - TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").strip().splitlines()[-TAIL_LINES:]
        said = " | ".join(line.strip()[:TAIL_LINE_CHARS] for line in lines)
        return f"Its log {log} ends: {said}" if said else f"It has logged nothing to {log}."


def rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(log.with_name(log.name + ".1"))
