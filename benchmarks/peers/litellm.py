"""LiteLLM's proxy, in an environment of its own, set up so that it is at its best (`benchmarks/README.md`)."""

from __future__ import annotations

import asyncio
import http.client
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import yaml

from benchmarks.provider import HOST
from benchmarks.wire import PRICE_INPUT_PER_MTOK, PRICE_OUTPUT_PER_MTOK
from customhouse.contracts.errors import NotReady
from workers.embedded.ports import free_port
from workers.embedded.process import ChildProcess, ProcessSpec

ENVIRONMENT = Path(__file__).parent.parent / ".venv-litellm"

# Without OpenTelemetry it tries a failing import anew on every request.
PACKAGES = ("litellm[proxy]==1.108.7", "opentelemetry-sdk==1.45.1", "opentelemetry-exporter-otlp==1.45.1")

MODEL, MASTER_KEY = "mock", "sk-bench"

SETTINGS = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
    "DISABLE_ADMIN_UI": "True",
    "NO_DOCS": "True",
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "ERROR",
}

START_TIMEOUT_S = 120.0
PROBE_TIMEOUT_S = 5.0


def install() -> None:
    """Make the environment, unless it is there with these very packages. Raises NotReady if that fails."""
    stamp, wanted = ENVIRONMENT / "installed.txt", "\n".join(PACKAGES)
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    uv, python = Path(sys.executable).parent / "uv", str(ENVIRONMENT / "bin" / "python")
    for command in (
        [str(uv), "venv", "--quiet", "--clear", "--python", sys.executable, str(ENVIRONMENT)],
        [str(uv), "pip", "install", "--quiet", "--compile-bytecode", "--python", python, *PACKAGES],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotReady(f"LiteLLM cannot be installed: {' '.join(command)} says: {done.stderr.strip()[-1000:]}")
    stamp.write_text(wanted, encoding="utf-8")


@asynccontextmanager
async def running_litellm(folder: Path, provider_url: str, workers: int) -> AsyncIterator[tuple[str, psutil.Process]]:
    """Yields its base URL and its main process."""
    port = free_port()
    config = folder / "litellm.yaml"
    config.write_text(yaml.safe_dump(_config(provider_url)), encoding="utf-8")
    proxy = ChildProcess(
        ProcessSpec(
            name="LiteLLM",
            command=(
                str(ENVIRONMENT / "bin" / "litellm"),
                *("--config", str(config), "--num_workers", str(workers), "--host", HOST, "--port", str(port)),
                *("--telemetry", "False"),
            ),
            log=folder / "litellm.log",
            environ=_environ(),
            cwd=folder,
        ),
        folder / "litellm.pid",
    )

    async def answers() -> bool:
        return await asyncio.to_thread(_is_alive, port)

    try:
        await proxy.start()
        await proxy.wait_ready(answers, START_TIMEOUT_S)
        yield f"http://{HOST}:{port}/v1", psutil.Process(proxy.pid)
    finally:
        await proxy.stop()


def _is_alive(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=PROBE_TIMEOUT_S)
    try:
        connection.request("GET", "/health/liveliness")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):  # not listening yet
        return False
    finally:
        connection.close()


def _environ() -> dict[str, str]:
    """Ours without what would make it recompile each start or import our packages."""
    left_out = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "VIRTUAL_ENV")
    return {**{name: value for name, value in os.environ.items() if name not in left_out}, **SETTINGS}


def _config(provider_url: str) -> dict[str, object]:
    """With a price: for a model without one, LiteLLM runs a diagnosis on every request."""
    parameters = {
        "model": f"openai/{MODEL}",
        "api_base": provider_url,
        "api_key": "none",
        "input_cost_per_token": PRICE_INPUT_PER_MTOK / 1_000_000,
        "output_cost_per_token": PRICE_OUTPUT_PER_MTOK / 1_000_000,
    }
    return {
        "model_list": [{"model_name": MODEL, "litellm_params": parameters}],
        "general_settings": {"master_key": MASTER_KEY},
    }
