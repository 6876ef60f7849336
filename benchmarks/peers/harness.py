"""Measures any gateway with the peers' own harness, `load.py`, which is loaded from where it lies."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import aiohttp

from benchmarks.measure import BlockFailed
from benchmarks.peers.figures import Manner, PeerFigures, read_block
from customhouse.contracts.errors import ConfigurationError

DEFAULT_PATH = Path(__file__).parents[3] / "shared" / "peers" / "load.py"

CONCURRENCIES = (8, 32)
TIMEOUT_S, BLOCK_SECONDS = 20.0, 60.0


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured, in requests of each block."""

    rounds: int
    warm_up: int
    sequential: int
    streamed: int
    at_once: int
    streamed_at_once: int


@dataclass(frozen=True, slots=True)
class Gateway:
    """What is measured."""

    name: str
    base_url: str
    api_key: str
    model: str
    pid: int
    """Of a process: its CPU is counted with that of all its descendants."""


def load_harness(path: Path) -> ModuleType:
    """Raises ConfigurationError where there is none."""
    spec = importlib.util.spec_from_file_location("peers_load", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise ConfigurationError(f"There is no harness at {path}. Name the path of `load.py` with --harness.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def measure(harness: ModuleType, gateway: Gateway, provider_url: str, size: Size) -> dict[Manner, PeerFigures]:
    """Whole and streamed, one at a time and at each of CONCURRENCIES. Raises BlockFailed where it does not answer."""
    arguments = SimpleNamespace(
        name=gateway.name,
        base_url=gateway.base_url,
        api_key=gateway.api_key,
        model=gateway.model,
        upstream=provider_url,
        upstream_model=gateway.model,
        header=[],
        pid=gateway.pid,
        rounds=size.rounds,
        warmup=size.warm_up,
        sequential=size.sequential,
        stream=size.streamed,
        requests=size.at_once,
        concurrency=list(CONCURRENCIES),
        timeout=TIMEOUT_S,
        block_seconds=BLOCK_SECONDS,
        pii=False,
    )
    try:
        measured: Mapping[str, Any] = await harness.measure(arguments)
    except SystemExit as error:  # how the harness says that the very first call failed
        raise BlockFailed(str(error)) from error
    if measured["first_error"]:
        raise BlockFailed(f"{gateway.name}: {measured['first_error']}")
    figures = {
        Manner(1, stream=False): read_block(measured["seq"]),
        Manner(1, stream=True): read_block(measured["stream"]),
        **{Manner(c, stream=False): read_block(measured[f"c{c}"]) for c in CONCURRENCIES},
    }
    for concurrency in CONCURRENCIES:
        block = await _streamed(harness, gateway, provider_url, size, concurrency)
        figures[Manner(concurrency, stream=True)] = read_block(block)
    return figures


async def _streamed(
    harness: ModuleType, gateway: Gateway, provider_url: str, size: Size, concurrency: int
) -> dict[str, Any]:
    """Streams at once, which the harness measures one at a time only; with its own targets and blocks."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        direct = harness.Target(session, provider_url, "none", gateway.model, {}, False)  # noqa: FBT003 - its signature
        through = harness.Target(session, gateway.base_url, gateway.api_key, gateway.model, {}, False)  # noqa: FBT003
        await direct.call(None)
        block = {}
        for name, target, pid in (("direct", direct, None), ("gateway", through, gateway.pid)):
            await harness.block(target, 2 * concurrency, concurrency, direct.last_text, BLOCK_SECONDS, stream=True)
            block[name] = await harness.block(
                target, size.streamed_at_once, concurrency, direct.last_text, BLOCK_SECONDS, pid, stream=True
            )
        if through.first_error:
            raise BlockFailed(f"{gateway.name}, streamed, {concurrency} at once: {through.first_error}")
        return block
