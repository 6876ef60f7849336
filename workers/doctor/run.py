"""Runs all probes at once, each with its own time limit, and shows the table."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from uuid import uuid4

from rich.console import Console
from rich.table import Table
from rich.text import Text

from customhouse import __version__
from customhouse.contracts.catalog import Catalog
from customhouse.contracts.errors import ConfigurationError, CustomhouseError
from customhouse.integrations.telemetry import TelemetrySettings, probe_collector
from workers.catalog_file import load_catalog
from workers.database import database_url
from workers.doctor.alerts import probe_alerts
from workers.doctor.database import probe_database
from workers.doctor.finding import Finding, State, off, ok, wrong
from workers.doctor.local import probe_api, probe_data_dir, probe_encryption_key, probe_variables
from workers.doctor.providers import probe_providers
from workers.doctor.temporal import probe_temporal
from workers.embedded.stack import reachable
from workers.settings import Settings, variable

TIMEOUT_S = 20.0
"""One probe, connecting included."""

STYLES = {State.OK: "green", State.OFF: "dim", State.WARNING: "yellow", State.WRONG: "bold red"}


PARTS = (
    "settings",
    "catalog",
    "data folder",
    "encryption key",
    "database",
    "temporal",
    "collector",
    "alerts",
    "api",
    "providers",
)


async def diagnose(settings: Settings, environ: Mapping[str, str], parts: Sequence[str] = PARTS) -> list[Finding]:
    """Findings on the parts, in the order of PARTS. `settings`: after `embedded.attach.attach`.

    Raises ConfigurationError for a part that there is none of.
    """
    if unknown := sorted(set(parts) - set(PARTS)):
        raise ConfigurationError(f"There is no part {', '.join(unknown)}; there are {', '.join(PARTS)}.")
    if settings.model_port is not None:
        environ = {variable("model_port"): str(settings.model_port), **environ}
    catalog, on_catalog = _catalog(settings, environ)
    probes: dict[str, Callable[[], Awaitable[list[Finding]]]] = {
        "settings": lambda: _now(probe_variables(environ, catalog)),
        "catalog": lambda: _now([on_catalog]),
        "data folder": lambda: _now([probe_data_dir(settings.data_dir.expanduser())]),
        "encryption key": lambda: _now([probe_encryption_key(settings)]),
        "database": lambda: _database(settings),
        "temporal": lambda: _temporal(settings),
        "collector": lambda: _collector(settings),
        "alerts": lambda: _now([probe_alerts(settings)]),
        "api": lambda: probe_api(reachable(settings.host), settings.port),
        "providers": lambda: probe_providers(catalog, environ) if catalog else _now([]),
    }
    results = await asyncio.gather(*(_limited(part, probes[part]()) for part in PARTS if part in parts))
    return [finding for findings in results for finding in findings]


def show(console: Console, findings: list[Finding]) -> None:
    table = Table("part", "state", "what was found", "what to do")
    for finding in findings:
        state = Text(finding.state, style=STYLES[finding.state])
        table.add_row(finding.part, state, Text(finding.detail), Text(finding.mend))
    console.print(table)


def is_well(findings: list[Finding]) -> bool:
    return not any(finding.state is State.WRONG for finding in findings)


async def _limited(part: str, probe: Awaitable[list[Finding]]) -> list[Finding]:
    try:
        return await asyncio.wait_for(probe, TIMEOUT_S)
    except TimeoutError:
        return [wrong(part, f"no result within {TIMEOUT_S:.0f} s", "It hangs: look at it, and at the network between.")]


async def _now(findings: list[Finding]) -> list[Finding]:
    return findings


def _catalog(settings: Settings, environ: Mapping[str, str]) -> tuple[Catalog | None, Finding]:
    try:
        catalog = load_catalog(settings.catalog, environ)
    except CustomhouseError as error:
        return None, wrong("catalog", error.message)
    if not catalog.deployments:
        mend = "Set a provider's key, or CUSTOMHOUSE_CATALOG to a catalog of your own."
        return catalog, wrong("catalog", "no deployment is switched on: no call can be answered", mend)
    return catalog, ok("catalog", f"{len(catalog.deployments)} deployments: {', '.join(catalog.models)}")


async def _database(settings: Settings) -> list[Finding]:
    try:
        return await probe_database(database_url(settings))
    except CustomhouseError as error:
        return [wrong("database", error.message)]


async def _temporal(settings: Settings) -> list[Finding]:
    if settings.temporal_address is None:
        mend = "Set CUSTOMHOUSE_TEMPORAL_ADDRESS (host:port), or start the embedded stack with `customhouse up`."
        return [wrong("temporal", "there is no Temporal", mend)]
    return await probe_temporal(settings, settings.temporal_address)


async def _collector(settings: Settings) -> list[Finding]:
    part = "collector"
    if settings.otlp_endpoint is None:
        return [off(part, "CUSTOMHOUSE_OTLP_ENDPOINT is not set: no telemetry leaves")]
    try:
        telemetry = TelemetrySettings(
            endpoint=settings.otlp_endpoint,
            service_version=__version__,
            instance_id=f"doctor-{uuid4()}",
            protocol=settings.otlp_protocol,
            headers=settings.otlp_header_map,
            environment=settings.environment,
        )
        await asyncio.to_thread(probe_collector, telemetry)
    except CustomhouseError as error:
        return [wrong(part, error.message)]
    return [ok(part, f"{settings.otlp_endpoint} took a span by {settings.otlp_protocol}")]
