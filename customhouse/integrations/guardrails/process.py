"""The process that has the validators loaded, and copies of it that judge texts."""

from __future__ import annotations

import logging
import mmap
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import customhouse
from customhouse.contracts.errors import ConfigurationError
from customhouse.contracts.timing import VALIDATORS_COPY_TIMEOUT, VALIDATORS_LOAD_TIMEOUT
from customhouse.governance.validators import GuardrailsSettings
from customhouse.integrations.guardrails import wire
from customhouse.integrations.guardrails.child import COPY

log = logging.getLogger(__name__)

_PASSED_ON = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR", "TZ")
"""Variables of ours that validators see. All others may hold keys."""

_QUIET = {
    # No ~/.guardrailsrc: one would switch telemetry and the vendor's servers on.
    "HOME": "/nonexistent",
    "GUARDRAILS_RUN_SYNC": "true",
    "OTEL_SDK_DISABLED": "true",
    "TOKENIZERS_PARALLELISM": "false",
    # Threads do not outlive the copying, and texts are judged one by one.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


class LoadFailed(Exception):
    """Rules that cannot be loaded: index of the rule, its field, and what is wrong."""

    def __init__(self, faults: Sequence[tuple[int, str, str]]) -> None:
        super().__init__("rules cannot be loaded")
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Copy:
    """A process that judges, and the way to it."""

    pid: int
    connection: socket.socket
    progress: mmap.mmap

    def kill(self) -> None:
        with suppress(ProcessLookupError):  # else it stays in the process table until its parent makes the next copy
            os.kill(self.pid, signal.SIGKILL)
        self.close()

    def close(self) -> None:
        """Ends it, unless it hangs."""
        self.connection.close()
        self.progress.close()


class ValidatorsProcess:
    """`customhouse.integrations.guardrails.child`."""

    def __init__(self, settings: GuardrailsSettings, environ: Mapping[str, str]) -> None:
        """Returns once the validators are loaded. Raises LoadFailed, and ConfigurationError where it dies or hangs."""
        self._control, theirs = socket.socketpair()
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "customhouse.integrations.guardrails.child", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**_environment(environ), **settings.environment},
                cwd="/",
                stdin=subprocess.DEVNULL,
                # Validators print texts.
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        try:
            faults = self._load(settings)
        except BaseException:
            self.close()
            raise
        if faults:
            self.close()
            raise LoadFailed(faults)

    def copy(self) -> Copy:
        """A new process that judges. Raises wire.Closed where the validators' process has gone, and TimeoutError."""
        ours, theirs = socket.socketpair()
        descriptor = os.memfd_create("progress")
        try:
            os.ftruncate(descriptor, 1)
            with self._lock:
                try:
                    socket.send_fds(self._control, [COPY], [theirs.fileno(), descriptor])
                except OSError as error:
                    raise wire.Closed(str(error)) from error
                pid = wire.receive(self._control, time.monotonic() + VALIDATORS_COPY_TIMEOUT.total_seconds())
            return Copy(pid, ours, mmap.mmap(descriptor, 1))
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
            os.close(descriptor)

    def close(self) -> None:
        """Ends it, and its copies with it. Idempotent."""
        self._control.close()
        self._process.kill()
        self._process.wait()

    def _load(self, settings: GuardrailsSettings) -> list[tuple[int, str, str]]:
        limit_s = VALIDATORS_LOAD_TIMEOUT.total_seconds()
        rules = [rule.model_dump(mode="json", exclude_defaults=True) for rule in settings.rules]
        try:
            wire.send(self._control, {"rules": rules, "timeout_s": limit_s})
            reply: Any = wire.receive(self._control, time.monotonic() + limit_s)
        except TimeoutError:
            raise ConfigurationError(
                f"The validators of CUSTOMHOUSE_GUARDRAILS were not loaded after {limit_s:.0f} s. One of them hangs in "
                "its constructor: take out rules until it loads."
            ) from None
        except wire.Closed:
            code = self._process.wait()
            raise ConfigurationError(
                f"The process that loads the validators of CUSTOMHOUSE_GUARDRAILS ended with code {code}. Is "
                "guardrails-ai whole? Try `python -c 'import guardrails'`, and take out rules until it loads."
            ) from None
        if reply["threads"] > 1:
            threads = {"threads": reply["threads"]}
            log.warning("validators have started threads, which the processes that judge do not get", extra=threads)
        return [(rule, field, message) for rule, field, message in reply["faults"]]


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    root = str(Path(customhouse.__file__ or "").parent.parent)
    kept = {name: environ[name] for name in _PASSED_ON if name in environ}
    return {**kept, **_QUIET, "PYTHONPATH": os.pathsep.join(filter(None, (root, kept.get("PYTHONPATH"))))}
