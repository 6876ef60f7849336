"""What ships with the model: its files, each with its checksum, its version and its calibration."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from customhouse.governance.abuse.combine import Calibration, Curve

NAME = "manifest.json"
SHIPPED = Path(__file__).parent / "model"


class ModelDamaged(ValueError):
    """The model's files are not those that its manifest tells of."""


@dataclass(frozen=True, slots=True)
class Manifest:
    version: str
    files: Mapping[str, str]
    """Name → sha256 in hexadecimal."""
    calibration: Calibration


def read_manifest(directory: Path) -> Manifest:
    """Raises ModelDamaged, which says what is wrong, where a file is missing or not what it was."""
    try:
        document = json.loads((directory / NAME).read_text(encoding="utf-8"))
        found = Manifest(
            version=document["version"],
            files=dict(document["files"]),
            calibration=Calibration(
                curves={name: Curve(each["bias"], each["weights"]) for name, each in document["curves"].items()},
                **document["thresholds"],
            ),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelDamaged(
            f"{directory / NAME} is no manifest of an abuse model ({type(error).__name__}: {error}). Make the model "
            "with `make train`, or take the files that ship with Customhouse."
        ) from error
    for name, expected in found.files.items():
        path = directory / name
        if not path.is_file():
            raise ModelDamaged(
                f"The abuse model's file {path} is missing. Its manifest names it: restore both together."
            )
        with path.open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
        if actual != expected:
            raise ModelDamaged(
                f"The abuse model's file {path} has the sha256 {actual}, and its manifest says {expected}. Restore "
                "both together, or make the model anew with `make train`."
            )
    return found
