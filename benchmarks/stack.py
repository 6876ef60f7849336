"""What is measured: `customhouse up`, as its own process with data of its own, in front of the mock provider."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml

from benchmarks.provider import HOST
from benchmarks.report import RESULTS
from benchmarks.wire import MODEL, PRICE_INPUT_PER_MTOK, PRICE_OUTPUT_PER_MTOK
from customhouse.contracts.errors import NotReady
from customhouse.storage.engine import libpq_url
from workers.database import database_url
from workers.embedded.attach import attach
from workers.embedded.leftovers import find_leftover
from workers.embedded.ports import free_port
from workers.embedded.python_child import PythonChild
from workers.settings import Settings, load_settings

PARTS = ("app", "temporal", "postgres")
"""As their pid files are named."""

API_KEY = "ck_benchmark"
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 90.0
"""`up` drains calls in flight for up to 30 s and then stops part after part."""
ADDRESSES_TIMEOUT_S = 30.0
POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack."""

    settings: Settings
    """With the database and Temporal that `up` has started."""
    supervisor: psutil.Process
    """`customhouse up` itself: every part is its descendant."""
    run: Path

    @property
    def base_url(self) -> str:
        return f"http://{HOST}:{self.settings.port}/v1"

    @property
    def dsn(self) -> str:
        return libpq_url(database_url(self.settings))

    @property
    def temporal_address(self) -> str:
        return str(self.settings.temporal_address)

    def part(self, name: str) -> psutil.Process | None:
        """The process of one of PARTS, or None while it is down."""
        return find_leftover(self.run / f"{name}.pid")

    def parts(self) -> dict[str, psutil.Process]:
        """All of PARTS. Raises NotReady if one is down."""
        found = {name: self.part(name) for name in PARTS}
        if missing := [name for name, process in found.items() if process is None]:
            raise NotReady(
                f"These parts of the stack are down: {', '.join(missing)}. See the logs in {self.run.parent}."
            )
        return {name: process for name, process in found.items() if process is not None}


@asynccontextmanager
async def work_folder(*, keep: bool) -> AsyncIterator[Path]:
    """A folder for one benchmark's data, on the disk that the repository is on: a file system in memory has no fsync
    to wait for."""
    RESULTS.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="data-", dir=RESULTS))
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder)


@asynccontextmanager
async def running_provider(folder: Path, *, delay_ms: int = 0) -> AsyncIterator[str]:
    """The mock provider in a process of its own; yields its base URL. `delay_ms`: before each answer."""
    port = free_port()
    provider = PythonChild(
        "Mock provider",
        "benchmarks.provider",
        run=folder,
        logs=folder,
        environ=os.environ,
        host=HOST,
        port=port,
        health_path="/v1/models",
        start_timeout_s=START_TIMEOUT_S,
        arguments=(str(port), str(delay_ms)),
    )
    try:
        await provider.start()
        yield f"http://{HOST}:{port}/v1"
    finally:
        await provider.stop()


@asynccontextmanager
async def running_stack(
    folder: Path, provider_url: str, settings_too: Mapping[str, str] | None = None
) -> AsyncIterator[Stack]:
    """`customhouse up` on a free port, with its own data, the mock as its only provider, and no local model.

    `settings_too`: further settings, by the names of their environment variables.
    """
    catalog = folder / "catalog.yaml"
    catalog.write_text(yaml.safe_dump(_catalog(provider_url)), encoding="utf-8")
    data, port = folder / "customhouse", free_port()
    up = PythonChild(
        "Customhouse",
        "workers.cli",
        run=folder,
        logs=folder,
        environ={**_environ(port, data, catalog), **(settings_too or {})},
        host=HOST,
        port=port,
        health_path="/readyz",
        start_timeout_s=START_TIMEOUT_S,
        stop_timeout_s=STOP_TIMEOUT_S,
        arguments=("up",),
    )
    try:
        await up.start()
        settings = await _addresses(load_settings(port=port, data_dir=data, catalog=catalog, model_enabled=False))
        yield Stack(settings, psutil.Process(up.process.pid), data / "run")
    finally:
        await up.stop()


async def _addresses(settings: Settings) -> Settings:
    """`up` tells them right after its app serves."""
    deadline = time.monotonic() + ADDRESSES_TIMEOUT_S
    while time.monotonic() < deadline:
        found = attach(settings)
        if found.temporal_address is not None:
            return found
        await asyncio.sleep(POLL_S)
    raise NotReady(f"`customhouse up` serves, but told no addresses in {settings.data_dir}/run.")


def _environ(port: int, data: Path, catalog: Path) -> Mapping[str, str]:
    return {
        **os.environ,
        "CUSTOMHOUSE_PORT": str(port),
        "CUSTOMHOUSE_DATA_DIR": str(data),
        "CUSTOMHOUSE_ADMIN_KEY": API_KEY,
        "CUSTOMHOUSE_CATALOG": str(catalog),
        "CUSTOMHOUSE_MODEL_ENABLED": "false",
        "MOCK_KEY": "none",
    }


def _catalog(provider_url: str) -> dict[str, object]:
    price = {"input_per_mtok": PRICE_INPUT_PER_MTOK, "output_per_mtok": PRICE_OUTPUT_PER_MTOK}
    deployment = {"model": MODEL, "provider": "mock", "region": "eu", "context_window": 32768, "price": price}
    return {
        "providers": [{"name": "mock", "kind": "openai", "base_url": provider_url, "api_key_env": "MOCK_KEY"}],
        "deployments": [deployment],
    }
