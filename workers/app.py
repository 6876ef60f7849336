"""What a process serves: API and invocation worker together, the API alone, or workers alone; until SIGTERM."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, nullcontext

import uvicorn
import uvloop
from temporalio.worker import Worker

from api.app import create_app
from api.doors import Doors
from customhouse.contracts.errors import CustomhouseError
from customhouse.contracts.timing import DRAIN_TIMEOUT
from customhouse.integrations import logs
from workers.alerting import sending
from workers.compose import composed, doors, listen_for_cancels
from workers.invocation_worker import invocation_worker, queue_worker
from workers.schedules import ensure_schedules
from workers.settings import Settings, load_settings


async def serve(settings: Settings, *, worker: bool = True) -> None:
    """The API and, unless told otherwise, an invocation worker that answers in the same process.

    On SIGTERM the API stops taking requests and answers those it has, then the worker hands back what is left.
    """
    async with AsyncExitStack() as stack:
        parts = await stack.enter_async_context(composed(settings, os.environ))
        if worker:
            await listen_for_cancels(parts)
            await ensure_schedules(parts.temporal, settings.task_queue)
            await stack.enter_async_context(_running([invocation_worker(parts)]))
            await stack.enter_async_context(sending(parts.alert_sender))
            await stack.enter_async_context(parts.similarity.keeper)
        _settle_memory()
        the_doors = doors(parts, has_worker=worker)
        await the_doors.invoker.listen()
        await _Server(_server_config(settings, the_doors)).serve()


async def work(settings: Settings, queues: Sequence[str]) -> None:
    """Workers alone: for invocations, or for the provider calls of the named task queues."""
    async with composed(settings, os.environ) as parts:
        await listen_for_cancels(parts)
        if not queues:
            await ensure_schedules(parts.temporal, settings.task_queue)
        _settle_memory()
        workers = [queue_worker(parts.temporal, queue, parts) for queue in queues] or [invocation_worker(parts)]
        keeper = nullcontext() if queues else parts.similarity.keeper
        async with _running(workers), sending(None if queues else parts.alert_sender), keeper:
            await _stop_signal()


@asynccontextmanager
async def _running(workers: Sequence[Worker]) -> AsyncIterator[None]:
    """Workers that shut down, draining, when the block is left; one that dies ends the block."""
    async with AsyncExitStack() as stack:
        for worker in workers:
            await stack.enter_async_context(worker)
        yield


async def _stop_signal() -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()


def _settle_memory() -> None:
    """Spare the garbage collector what lives as long as the process: some 400,000 objects of modules and models.

    Without this each full collection walks them all, 100 ms amid somebody's call.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


class _Server(uvicorn.Server):
    """Uvicorn re-raises the signal that stopped it, which would end the process before its workers have drained."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def _server_config(settings: Settings, the_doors: Doors) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(the_doors),
        host=settings.host,
        port=settings.port,
        loop="none",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        # Uvicorn would believe a header of any caller on this machine: whom to believe is for our own settings to say.
        proxy_headers=False,
        timeout_graceful_shutdown=int(DRAIN_TIMEOUT.total_seconds()),
    )


def main() -> None:
    """`python -m workers.app`: how the embedded stack starts this process."""
    try:
        settings = load_settings()
        logs.configure(settings.log_level, settings.log_format)
        uvloop.run(serve(settings))
    except CustomhouseError as error:
        sys.stderr.write(f"customhouse: {error.message}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
