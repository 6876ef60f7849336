"""The database that a command works on: the one that the settings name, or that of the stack that `up` runs here."""

from __future__ import annotations

from customhouse.contracts.errors import ConfigurationError
from workers.settings import Settings


def database_url(settings: Settings) -> str:
    """Raises ConfigurationError if there is none. `settings`: after `embedded.attach.attach`."""
    if settings.database_url is None:
        raise ConfigurationError(
            "There is no database: set CUSTOMHOUSE_DATABASE_URL (postgresql://user:password@host:5432/name), "
            f"or start the embedded stack with `customhouse up` (data folder {settings.data_dir})."
        )
    return settings.database_url.get_secret_value()
