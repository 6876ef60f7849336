"""Runs workflow activations on the event loop's own thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class InlineExecutor(ThreadPoolExecutor):
    """An executor that has no threads.

    An activation of our workflows takes some 0.2 ms and the hop to a thread and back, with its fight for the
    interpreter lock, as much again: measured, 2 ms of CPU an invocation. What is given up is the SDK's interruption
    of a workflow that computes for 2 s on end; tests run in the sandbox and with threads, and find such a workflow.
    """

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        # The workflow brings an event loop of its own, which refuses to run inside another one.
        outer = asyncio.get_running_loop()
        asyncio._set_running_loop(None)  # noqa: SLF001 - asyncio's documented hook for event loop implementations
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - as every executor: whatever is raised belongs to the future
            future.set_exception(error)
        finally:
            asyncio._set_running_loop(outer)  # noqa: SLF001
        return future
