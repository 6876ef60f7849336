"""What the commands have in common."""

from __future__ import annotations

from typing import Annotated

import typer

from workers.embedded.attach import attach
from workers.settings import Settings, load_settings

Organization = Annotated[
    str | None, typer.Option("--organization", help="Name of the organization. [default: the first organization]")
]


def attached() -> Settings:
    """The settings, and the stack that `up` runs on the same data folder where they name no other."""
    return attach(load_settings())
