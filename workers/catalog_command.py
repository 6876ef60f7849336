"""`customhouse catalog check`: is a catalog sound, and what does it serve here?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from customhouse.governance.catalog import enabled
from workers.catalog_file import read_catalog


def check(path: Path, environ: Mapping[str, str], console: Console) -> None:
    """Print each deployment and whether it is on. Raises ConfigurationError for a catalog that cannot be used."""
    catalog = read_catalog(path, environ)
    served = enabled(catalog, environ).deployments
    table = Table(title=f"{path} is sound")
    table.add_column("deployment", no_wrap=True, min_width=max((len(d.id) for d in catalog.deployments), default=10))
    for name in ("region", "context", "state"):
        table.add_column(name)
    for deployment in catalog.deployments:
        provider = catalog.provider(deployment.provider)
        needed = provider.api_key_env if provider.requires_key else provider.enabled_if
        state = "served" if deployment in served else f"off: {needed} is not set"
        table.add_row(deployment.id, deployment.region, f"{deployment.context_window:,} tokens", state)
    console.print(table)
