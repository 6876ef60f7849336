"""Probes of what lies on this machine: settings, data folder, keys, catalog, and the API if it runs here."""

from __future__ import annotations

import asyncio
import http.client
import tempfile
from collections.abc import Mapping
from pathlib import Path

from customhouse.contracts.catalog import Catalog
from customhouse.contracts.errors import CustomhouseError
from customhouse.integrations.codec import parse_keys
from workers.doctor.finding import Finding, off, ok, warning, wrong
from workers.settings import PREFIX, Settings, unknown_variables, variable


def probe_variables(environ: Mapping[str, str], catalog: Catalog | None) -> list[Finding]:
    providers = catalog.providers if catalog else ()
    known = {name for p in providers for name in (p.api_key_env, p.enabled_if) if name}
    unknown = unknown_variables(environ, known)
    if not unknown:
        return [ok("settings", "every variable is known")]
    return [
        warning(
            "settings",
            f"{name} is no setting, and is ignored",
            f"Did you mean {meant}?" if meant else f"Remove it: names that begin with {PREFIX} are ours.",
        )
        for name, meant in unknown.items()
    ]


def probe_data_dir(path: Path) -> Finding:
    if not path.exists():
        return off("data folder", f"{path} does not exist yet: `customhouse up` makes it")
    try:
        with tempfile.NamedTemporaryFile(dir=path) as file:
            file.write(b"doctor")
            file.flush()
    except OSError as error:
        mend = f"Mend its permissions or free space, or set {variable('data_dir')} to another folder."
        return wrong("data folder", f"{path} cannot be written to: {error.strerror}", mend)
    return ok("data folder", f"{path.resolve()} is writable")


def probe_encryption_key(settings: Settings) -> Finding:
    part = "encryption key"
    if settings.encryption_key is None:
        return off(part, "not set: content lies in Temporal's history as it is")
    try:
        keys = parse_keys(settings.encryption_key.get_secret_value())
    except CustomhouseError as error:
        return wrong(part, error.message)
    return ok(part, f"{len(keys.by_id)} valid, the first encrypts")


async def probe_api(host: str, port: int) -> list[Finding]:
    """Reads `/readyz`, if something listens."""
    return [await asyncio.to_thread(_get_ready, host, port)]


def _get_ready(host: str, port: int) -> Finding:
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        body = answer.read(4000).decode("utf-8", "replace")
    except (ConnectionRefusedError, TimeoutError):
        return off("api", f"nothing listens on {host}:{port}: start `customhouse up` or `customhouse api`")
    except (OSError, http.client.HTTPException) as error:
        return wrong(
            "api", f"{host}:{port} does not speak HTTP: {error}", f"Set {variable('port')} to a port of its own."
        )
    finally:
        connection.close()
    if answer.status == http.HTTPStatus.OK:
        return ok("api", f"ready on {host}:{port}")
    return wrong("api", f"not ready on {host}:{port} (HTTP {answer.status}): {body}", "Mend the parts that it names.")
