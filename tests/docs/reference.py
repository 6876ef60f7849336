"""The reference tables of docs/configuration.md, as the code has them.

python -m tests.docs.reference     prints the table of settings, to paste after a change
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from workers.settings import Settings, variable

SETTINGS_HEAD = ("| variable | default | meaning |", "| --- | --- | --- |")


def setting_rows() -> list[str]:
    """One row a setting, in the order of the class."""
    return [
        f"| `{variable(name)}` | {_setting_default(field)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]


def defaults(model: type[BaseModel]) -> dict[str, str]:
    """Each field's default as the tables write it."""
    return {name: _default(field) for name, field in model.model_fields.items()}


def _setting_default(field: FieldInfo) -> str:
    return "unset" if field.default is None else _default(field)


def _default(field: FieldInfo) -> str:
    return "required" if field.default is PydanticUndefined else f"`{_written(field.default)}`"


def _written(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, frozenset):
        return ", ".join(sorted(_written(each) for each in value))
    if isinstance(value, Enum):
        return str(value.value)
    return str(value) if isinstance(value, str | int | float | Path) else repr(value)


if __name__ == "__main__":
    print("\n".join([*SETTINGS_HEAD, *setting_rows()]))
