"""Runs a benchmark so that Ctrl-C and SIGTERM end it through its `finally` blocks, which end its children."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from customhouse.contracts.errors import CustomhouseError


def run(main: Callable[[], Coroutine[Any, Any, int]]) -> NoReturn:
    """Exit with what `main` returns; 130 if it was interrupted."""
    try:
        code = asyncio.run(_until_told(main))
    except (KeyboardInterrupt, asyncio.CancelledError):
        code = 130
    except CustomhouseError as error:
        sys.stderr.write(f"{error.message}\n")
        code = 1
    sys.exit(code)


async def _until_told(main: Callable[[], Coroutine[Any, Any, int]]) -> int:
    task = asyncio.create_task(main())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task
