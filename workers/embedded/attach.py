"""How other commands (`doctor`, `keys`, `migrate`) find the stack that `up` runs on the same data folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

from workers.settings import Settings

FILE = "connections.json"
"""In the `run` folder, while the stack serves: settings by name."""


def publish(run: Path, connections: dict[str, str | int]) -> None:
    descriptor = os.open(run / FILE, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(connections, file)


def withdraw(run: Path) -> None:
    (run / FILE).unlink(missing_ok=True)


def attach(settings: Settings) -> Settings:
    """The settings, with what they leave open taken from a stack that serves from the same data folder, if one does.

    The file of a stack that was killed stays behind; a connection then fails as to any server that is down.
    """
    try:
        text = (settings.data_dir.expanduser() / "run" / FILE).read_text(encoding="utf-8")
    except OSError:  # no stack here, or not ours to see
        return settings
    found = json.loads(text)
    missing = {name: value for name, value in found.items() if getattr(settings, name) is None}
    return Settings.model_validate({**settings.model_dump(exclude_unset=True), **missing})
