"""Composes what the alerts need: where they are sent, and what the drift alarm compares with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files

import orjson

from activities.alerts import AlertSender
from activities.drift import Reference
from customhouse.contracts.errors import ConfigurationError
from customhouse.contracts.governance import Severity
from customhouse.governance.alerts.drift import reference_of
from customhouse.integrations.alerts import Places
from workers.settings import Settings

_MODEL = "customhouse.governance.abuse"
_MANIFEST = ("model", "manifest.json")


def places_of(settings: Settings) -> Places | None:
    """None where alerts are only listed. Raises ConfigurationError, without the secret, for a URL that is wrong."""
    if settings.alert_urls is None or not settings.alert_urls.get_secret_value().strip(" ,"):
        return None
    return Places(settings.alert_urls.get_secret_value(), Severity(settings.alert_min_severity))


def drift_reference() -> Reference | None:
    """Out of the abuse model's manifest; None where it has no histogram of scores, or there is no model."""
    try:
        raw = files(_MODEL).joinpath(*_MANIFEST).read_bytes()
    except (FileNotFoundError, ModuleNotFoundError):
        return None
    try:
        manifest = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise ConfigurationError(
            f"The abuse model's manifest is no JSON: {error}. Make the model anew, or restore the file."
        ) from error
    shares = reference_of(manifest)
    return None if shares is None else Reference(shares, str(manifest.get("version", "unknown")))


@asynccontextmanager
async def sending(sender: AlertSender | None) -> AsyncIterator[None]:
    """Alerts are sent while the block lasts. What is not sent by then is due when the next process starts."""
    if sender is None:
        yield
        return
    task = asyncio.create_task(sender.run(), name="alert sender")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
