"""Processes that judge texts: a bounded number, each replaced when it hangs or dies."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum

from customhouse.contracts.errors import ConfigurationError
from customhouse.governance.validator_findings import Failed
from customhouse.integrations.guardrails import wire
from customhouse.integrations.guardrails.process import Copy, LoadFailed, ValidatorsProcess

log = logging.getLogger(__name__)


class Trouble(StrEnum):
    """Why a judgement is not whole."""

    BUSY = "busy"
    """No process was free in time."""
    HUNG = "hung"
    DIED = "died"
    DOWN = "down"
    """The validators are being loaded again."""


@dataclass(slots=True)
class Judgement:
    """What came of some texts under some rules. What is in none of these has passed."""

    failed: list[tuple[int, int, Failed]] = field(default_factory=list)
    """Rule, text, and how."""
    broken: list[tuple[int, int, str]] = field(default_factory=list)
    """Rule, text, and the name of what it raised."""
    trouble: Trouble | None = None
    at: int | None = None
    """The rule that was being judged by when it came to that: this one and those after it have not looked."""


class Pool:
    """Threads may share it. What is judged at the same time never meets: each process has one text in hand."""

    def __init__(self, start: Callable[[], ValidatorsProcess], size: int) -> None:
        """`start` loads the validators, and raises where they cannot be loaded.

        All processes are made here, so that no call waits for one.
        """
        self._start = start
        self._process = start()
        self._reviving = threading.Lock()
        self._closed = False
        self._idle: queue.LifoQueue[Copy | None] = queue.LifoQueue()
        try:
            for _ in range(size):
                self._idle.put(self._process.copy())
        except (wire.Closed, TimeoutError) as error:
            self.close()
            raise ConfigurationError(
                "The validators of CUSTOMHOUSE_GUARDRAILS were loaded, but no process could be made of them. Is there "
                "memory for them?"
            ) from error

    def judge(self, texts: Sequence[str], jobs: Sequence[tuple[int, Sequence[int]]], deadline_s: float) -> Judgement:
        """Each job, and there is at least one, is a rule and the texts that it is for.

        Returns in time, whatever the validators do.
        """
        deadline = time.monotonic() + deadline_s
        judgement = Judgement()
        try:
            copy = self._idle.get(timeout=deadline_s)
        except queue.Empty:
            judgement.trouble = Trouble.BUSY
            return judgement
        try:
            copy = copy or self._process.copy()
            copy = _ask(copy, texts, jobs, deadline, judgement)
        except (wire.Closed, TimeoutError):
            # Not the copy but what copies are made of is gone.
            copy = None
            judgement.trouble = Trouble.DOWN
            self._revive()
        finally:
            self._idle.put(copy)
            if self._closed:
                self._drain()
        return judgement

    def close(self) -> None:
        """Ends all processes. Whoever still waits gets no verdict."""
        self._closed = True
        self._drain()
        self._process.close()

    def _drain(self) -> None:
        with suppress(queue.Empty):
            while True:
                if (copy := self._idle.get_nowait()) is not None:
                    copy.close()

    def _revive(self) -> None:
        """In a thread: it takes seconds, and calls do not wait for it."""
        if not self._closed and self._reviving.acquire(blocking=False):
            threading.Thread(target=self._load_again, name="validators", daemon=True).start()

    def _load_again(self) -> None:
        try:
            self._process.close()
            log.warning("the validators' process has gone, and is started again")
            self._process = self._start()
            if self._closed:
                self._process.close()
        except (LoadFailed, ConfigurationError):
            log.exception("the validators cannot be loaded again")
        finally:
            self._reviving.release()


def _ask(
    copy: Copy,
    texts: Sequence[str],
    jobs: Sequence[tuple[int, Sequence[int]]],
    deadline: float,
    judgement: Judgement,
) -> Copy | None:
    """Fills the judgement. Returns the copy, or None where it is no more."""
    try:
        copy.progress[0] = jobs[0][0]
        copy.connection.settimeout(max(deadline - time.monotonic(), 0.001))
        wire.send(copy.connection, {"texts": texts, "jobs": jobs})
        while (said := wire.receive(copy.connection, deadline)) is not None:
            if "broken" in said:
                judgement.broken.append((said["rule"], said["text"], said["broken"]))
            else:
                judgement.failed.append((said["rule"], said["text"], Failed.model_validate(said["failed"])))
    except TimeoutError:
        judgement.trouble, judgement.at = Trouble.HUNG, copy.progress[0]
        copy.kill()
        return None
    except wire.Closed:
        judgement.trouble, judgement.at = Trouble.DIED, copy.progress[0]
        copy.close()
        return None
    return copy
