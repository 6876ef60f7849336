"""Labelled prompts from a file: JSON Lines, gzipped where the name ends in .gz."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LABELS = ("abuse", "benign")
UNNAMED = "unnamed"
"""The category or source of a row that names none."""


class BadData(ValueError):
    """A file of prompts cannot be used; says the file, the line and what is wrong there."""


@dataclass(frozen=True, slots=True)
class Row:
    text: str
    is_abuse: bool
    category: str
    source: str


def read_rows(path: Path) -> list[Row]:
    """The file's rows in their order; empty lines and fields that are not needed are passed over. Raises BadData."""
    try:
        rows = list(_rows(path))
    except FileNotFoundError:
        raise BadData(f"{path}: there is no such file. DATA=FILE names one in JSON Lines.") from None
    except (OSError, EOFError) as error:
        raise BadData(f"{path}: cannot be read: {error}.") from None
    if not rows:
        raise BadData(f"{path}: holds no rows. Each line is to be an object with `text` and `label`.")
    return rows


def _rows(path: Path) -> Iterator[Row]:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield _row(line, f"{path}, line {number}")


def _row(line: bytes, place: str) -> Row:
    try:
        given = json.loads(line)
    except UnicodeDecodeError as error:
        raise BadData(f"{place}: is not UTF-8: {error}.") from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise BadData(f"{place}: is not JSON: {error}.") from None
    if not isinstance(given, dict):
        raise BadData(f"{place}: is {_sort(given)}, not an object with `text` and `label`.")
    text, label = given.get("text"), given.get("label")
    if not isinstance(text, str):
        raise BadData(f"{place}: `text` is {_sort(text)}, not a string.")
    if label not in LABELS:
        raise BadData(f"{place}: `label` is {label!r}, not one of {', '.join(LABELS)}.")
    return Row(text, label == "abuse", _name(given, "category", place), _name(given, "source", place))


def _name(given: dict[str, Any], field: str, place: str) -> str:
    value = given.get(field)
    if value is not None and not isinstance(value, str):
        raise BadData(f"{place}: `{field}` is {_sort(value)}, not a string.")
    return value or UNNAMED


def _sort(value: object) -> str:
    sorts = {type(None): "missing or null", dict: "an object", list: "a list", bool: "a truth value", str: "a string"}
    return sorts.get(type(value), "a number")
