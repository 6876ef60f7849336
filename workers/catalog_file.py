"""Reads the catalog that the settings name, or the one that ships."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import customhouse
from customhouse.contracts.catalog import Catalog
from customhouse.contracts.errors import ConfigurationError
from customhouse.governance.catalog import enabled, parse_catalog

DEFAULT_CATALOG = Path(customhouse.__file__).parent / "default_catalog.yaml"


def read_catalog(path: Path | None, environ: Mapping[str, str]) -> Catalog:
    """All that is in the file. Raises ConfigurationError, with line and field, if it cannot be used."""
    path = path or DEFAULT_CATALOG
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"The catalog {path} cannot be read: {error.strerror}. Correct CUSTOMHOUSE_CATALOG."
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"The catalog {path} is not UTF-8 text: {error.reason} at byte {error.start}."
        ) from error
    return parse_catalog(text, str(path), environ)


def load_catalog(path: Path | None, environ: Mapping[str, str]) -> Catalog:
    """What of the file is switched on: without the providers whose key or variable is not set."""
    return enabled(read_catalog(path, environ), environ)
