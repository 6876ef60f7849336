"""The parts of the embedded stack, as settings and data folder make them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping

import psycopg
from sqlalchemy.exc import SQLAlchemyError

from customhouse.contracts import timing
from customhouse.contracts.errors import NotReady
from customhouse.storage.migrate import upgrade
from workers.embedded.data_dir import DataDir
from workers.embedded.model_server import weights
from workers.embedded.ports import LOOPBACK, remembered_port
from workers.embedded.postgres import Postgres
from workers.embedded.python_child import PythonChild
from workers.embedded.supervisor import Part
from workers.embedded.temporal import TemporalServer
from workers.settings import Settings, variable

MODEL_START_TIMEOUT_S = 60.0
APP_START_TIMEOUT_S = 60.0
APP_STOP_MARGIN_S = 5.0
"""Beyond the drain, for what the app closes afterwards."""

CODEC_PATH = "/api/v1/codec"
"""Where the API decodes encrypted payloads for the Temporal Web UI."""


REMOTE_TEMPORAL = (
    "temporal_namespace",
    "temporal_tls",
    "temporal_tls_cert",
    "temporal_tls_key",
    "temporal_tls_ca",
    "temporal_api_key",
)
"""Settings for a Temporal elsewhere: emptied, as the embedded one has one namespace and speaks no TLS."""


class MigratedPostgres(Postgres):
    """Ready once the product's database is there, at the schema of this version."""

    async def start(self) -> None:
        await super().start()
        try:
            await self.create_database()
            await asyncio.to_thread(upgrade, self.url())
        except (psycopg.Error, SQLAlchemyError) as error:
            raise NotReady(f"Postgres serves, but its database cannot be made or migrated: {error}") from error


class EmbeddedStack:
    """Postgres, Temporal and the local model, and the app that stands on them."""

    def __init__(self, settings: Settings, data: DataDir, admin_key: str, environ: Mapping[str, str]) -> None:
        """Raises ConfigurationError if something that it needs is not installed."""
        self.admin_key = admin_key
        self.data_dir = data.path
        self.run = data.run
        self.api_url = f"http://{reachable(settings.host)}:{settings.port}"
        run, logs = data.run, data.logs
        port = remembered_port(settings.temporal_port, run / "temporal.port")
        ui_port = remembered_port(settings.temporal_ui_port, run / "temporal_ui.port")
        model_port = remembered_port(settings.model_port, run / "model.port")
        self.listeners = [
            (settings.port, settings.host, "port"),
            (port, LOOPBACK, "temporal_port"),
            (ui_port, LOOPBACK, "temporal_ui_port"),
            (model_port, LOOPBACK, "model_port"),
        ]
        """Ports that must be free, the host of each, and the setting that names it."""
        self.temporal_ui_url = f"http://{LOOPBACK}:{ui_port}"
        self._postgres = MigratedPostgres(data.postgres, run, logs / "postgres.log")
        self._temporal = TemporalServer(
            run,
            logs / "temporal.log",
            port=port,
            ui_port=ui_port,
            database=data.temporal_database,
            codec_endpoint=self.api_url + CODEC_PATH if settings.encryption_key else None,
        )
        self._model = self._make_model(data, model_port, environ) if settings.model_enabled else None
        self.connections: dict[str, str | int] = {
            "database_url": self._postgres.url(),
            "temporal_address": self._temporal.address,
            "temporal_ui_url": self.temporal_ui_url,
            **({"model_port": model_port} if settings.model_enabled else {}),
        }
        """Settings, by name, with which a process reaches this stack."""
        self._app = PythonChild(
            "Customhouse",
            "workers.app",
            run=run,
            logs=logs,
            environ={
                # Threads of its own make the small products of our checks fifty times dearer on a busy machine.
                "OPENBLAS_NUM_THREADS": "1",
                **environ,
                **{variable(name): "" for name in REMOTE_TEMPORAL},
                **{variable(name): str(value) for name, value in self.connections.items()},
                variable("host"): settings.host,
                variable("port"): str(settings.port),
                variable("data_dir"): str(data.path),
                variable("admin_key"): admin_key,
                **({} if settings.model_enabled else {variable("model_port"): ""}),
            },
            host=reachable(settings.host),
            port=settings.port,
            health_path="/readyz",
            start_timeout_s=APP_START_TIMEOUT_S,
            stop_timeout_s=timing.DRAIN_TIMEOUT.total_seconds() + APP_STOP_MARGIN_S,
        )

    @property
    def groups(self) -> list[list[Part]]:
        """In the order of their start. They stop in reverse: the app, the model, Temporal, Postgres."""
        below: list[Part] = [self._postgres, self._temporal]
        return [[*below, self._model] if self._model else below, [self._app]]

    @staticmethod
    def _make_model(data: DataDir, port: int, environ: Mapping[str, str]) -> PythonChild:
        weights()
        return PythonChild(
            "Local model",
            "workers.embedded.model_server",
            run=data.run,
            logs=data.logs,
            environ={"PATH": environ.get("PATH", os.defpath)},
            host=LOOPBACK,
            port=port,
            health_path="/health",
            start_timeout_s=MODEL_START_TIMEOUT_S,
            arguments=(str(port),),
        )


def reachable(host: str) -> str:
    """The address to call for a server that listens on `host`: a wildcard is no address."""
    return {"0.0.0.0": LOOPBACK, "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
