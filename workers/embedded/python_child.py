"""Children that are Python modules of ours and serve HTTP: the local model, and the app."""

from __future__ import annotations

import asyncio
import http.client
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import workers
from workers.embedded.process import ChildProcess, ProcessSpec

PROBE_TIMEOUT_S = 5.0


class PythonChild:
    """`python -m MODULE`, ready when `GET health_path` answers 200."""

    def __init__(
        self,
        name: str,
        module: str,
        *,
        run: Path,
        logs: Path,
        environ: Mapping[str, str],
        host: str,
        port: int,
        health_path: str,
        start_timeout_s: float,
        stop_timeout_s: float = 10,
        arguments: tuple[str, ...] = (),
    ) -> None:
        self._host, self._port, self._health_path = host, port, health_path
        self._start_timeout_s = start_timeout_s
        slug = module.rsplit(".", 1)[-1]
        self.process = ChildProcess(
            ProcessSpec(
                name=name,
                # -P: what is imported must not depend on the folder that the command was started in.
                command=(sys.executable, "-P", "-m", module, *arguments),
                log=logs / f"{slug}.log",
                environ=_environment(environ),
                stop_timeout_s=stop_timeout_s,
            ),
            run / f"{slug}.pid",
        )

    async def start(self) -> None:
        """NotReady if it does not come up."""
        await self.process.start()
        await self.process.wait_ready(self.answers, self._start_timeout_s)

    async def answers(self) -> bool:
        return await asyncio.to_thread(self._get)

    async def stop(self) -> None:
        await self.process.stop()

    def _get(self) -> bool:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=PROBE_TIMEOUT_S)
        try:
            connection.request("GET", self._health_path)
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):  # not listening yet, or not yet able to answer
            return False
        finally:
            connection.close()


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """With our own packages importable, and bytecode kept: without it every start recompiles everything."""
    root = str(Path(workers.__file__ or "").parent.parent)
    path = os.pathsep.join(filter(None, (root, environ.get("PYTHONPATH"))))
    return {**{k: v for k, v in environ.items() if k != "PYTHONDONTWRITEBYTECODE"}, "PYTHONPATH": path}
