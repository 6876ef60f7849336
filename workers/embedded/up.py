"""`customhouse up`: the composition root of the embedded stack."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
from urllib.parse import urlsplit

from rich.console import Console

from customhouse.contracts.errors import ConfigurationError, CustomhouseError
from customhouse.integrations.codec import parse_keys
from workers.catalog_file import load_catalog
from workers.embedded.attach import publish, withdraw
from workers.embedded.data_dir import DataDir
from workers.embedded.leftovers import end_leftovers
from workers.embedded.model_server import ALIAS
from workers.embedded.panel import Welcome, show
from workers.embedded.ports import require_free
from workers.embedded.progress import Progress
from workers.embedded.stack import EmbeddedStack
from workers.embedded.supervisor import Supervisor
from workers.settings import Settings, variable

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def up(settings: Settings, console: Console) -> None:
    """Start everything, keep it alive until a signal comes, stop everything.

    Raises ConfigurationError for what has to be mended first, NotReady if a part cannot be kept alive.
    """
    with DataDir(settings.data_dir) as data:
        for ignored in ("database_url", "temporal_address"):
            if getattr(settings, ignored) is not None:
                _say(console, f"{variable(ignored)} is ignored: `up` brings its own. See `customhouse api`.")
        if settings.encryption_key is not None:
            parse_keys(settings.encryption_key.get_secret_value())
        load_catalog(settings.catalog, {variable("model_port"): "1", **os.environ})  # a bad one is told at once
        try:
            admin_key = settings.admin_key.get_secret_value() if settings.admin_key else data.admin_key()
            # First, so that the ports that they hold are free for us.
            await asyncio.to_thread(end_leftovers, data.run)
            stack = EmbeddedStack(settings, data, admin_key, os.environ)
            for port, host, setting in stack.listeners:
                require_free(port, host, variable(setting))
            await _run(stack, console)
        except OSError as error:
            raise ConfigurationError(f"The data folder {data.path} cannot be used: {error}. Mend it.") from error
        except CustomhouseError as error:
            if data.is_full():
                error.message += f" The disk of {data.path} is full: free some space, and start again."
            raise


async def _run(stack: EmbeddedStack, console: Console) -> None:
    progress = Progress(console)
    supervisor = Supervisor(stack.groups, progress.report)
    serving = asyncio.create_task(_serve(stack, supervisor, progress, console))
    signals = 0

    def on_signal() -> None:
        nonlocal signals
        signals += 1
        if signals == 1:
            _say(console, "Stopping. Once more to stop at once, without finishing calls in flight.")
            serving.cancel()
        else:
            supervisor.force()

    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, on_signal)
    try:
        await serving
    except asyncio.CancelledError:
        if signals == 0:  # cancelled by whoever runs us, not by a signal
            raise
    finally:
        withdraw(stack.run)
        await supervisor.stop()
        for number in SIGNALS:
            loop.remove_signal_handler(number)


async def _serve(stack: EmbeddedStack, supervisor: Supervisor, progress: Progress, console: Console) -> None:
    with progress:
        await supervisor.start()
    publish(stack.run, stack.connections)
    model = await asyncio.to_thread(first_model, stack.api_url, stack.admin_key)
    show(console, Welcome(stack.api_url, stack.temporal_ui_url, stack.admin_key, model, stack.data_dir))
    await supervisor.watch()


def first_model(api_url: str, api_key: str) -> str:
    """A model that the running catalog serves: the local one if it does, else the first."""
    address = urlsplit(api_url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
    try:
        connection.request("GET", "/v1/models", headers={"Authorization": f"Bearer {api_key}"})
        models = [model["id"] for model in json.loads(connection.getresponse().read()).get("data", [])]
    except (OSError, http.client.HTTPException, ValueError):  # it has just died: the watch that follows will say so
        models = []
    finally:
        connection.close()
    return ALIAS if ALIAS in models or not models else str(models[0])


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
