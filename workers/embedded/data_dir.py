"""The data folder of `customhouse up`: what lies where, who uses it, and whether it can be used at all."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from pathlib import Path
from types import TracebackType

from customhouse.contracts.errors import ConfigurationError

NEEDED_BYTES = 256 * 1024 * 1024
"""Free space to start with: an empty cluster with its write-ahead log takes 130 MB, Temporal and logs some more."""


class DataDir:
    """The folder, held by one `up` at a time: a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()
        self.postgres = self.path / "postgres"
        self.temporal_database = self.path / "temporal" / "temporal.db"
        self.logs = self.path / "logs"
        self.run = self.path / "run"
        """Pid files, remembered ports, the database's socket."""
        self._admin_key = self.path / "admin_key"
        self._lock: int | None = None

    def __enter__(self) -> DataDir:
        """Raises ConfigurationError if the folder cannot be used, or is in use, or its disk is full."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            for folder in (self.path, self.logs, self.run, self.temporal_database.parent):
                folder.mkdir(mode=0o700, exist_ok=True)  # histories and addresses are nobody else's business
            self._check_space()
            self._take_lock()
        except OSError as error:
            raise ConfigurationError(
                f"The data folder {self.path} cannot be used: {error.strerror}: {error.filename}. "
                "Mend it, or set CUSTOMHOUSE_DATA_DIR to a folder that you may write to."
            ) from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._lock is not None:
            os.close(self._lock)  # which gives the lock up; so does the kernel when the process is killed
            self._lock = None

    def admin_key(self) -> str:
        """The key that was made at the first start. Raises ConfigurationError if its file is damaged."""
        try:
            descriptor = os.open(self._admin_key, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            key = self._admin_key.read_text(encoding="ascii", errors="replace").strip()
            if not key.isprintable() or not key.isascii() or " " in key or not key:
                raise ConfigurationError(
                    f"{self._admin_key} does not hold a key. Remove it: the next start makes a new one."
                ) from None
            return key
        key = "ck_" + secrets.token_urlsafe(32)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(key + "\n")
        return key

    def is_full(self) -> bool:
        return shutil.disk_usage(self.path).free < NEEDED_BYTES

    def _check_space(self) -> None:
        if self.is_full():
            free = shutil.disk_usage(self.path).free // 1_000_000
            raise ConfigurationError(
                f"The disk of {self.path} is full: {free} MB are free, {NEEDED_BYTES // 1_000_000} MB are needed. "
                "Free some, or set CUSTOMHOUSE_DATA_DIR to a folder on another disk."
            )

    def _take_lock(self) -> None:
        path = self.path / "lock"
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise ConfigurationError(
                f"Another `customhouse up` (pid {holder}) uses the data folder {self.path}. Stop it, or set "
                "CUSTOMHOUSE_DATA_DIR, and CUSTOMHOUSE_PORT, for a second stack."
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._lock = descriptor
