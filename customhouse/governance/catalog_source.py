"""YAML with line numbers: the plain document, and where each of its fields stands in the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from customhouse.contracts.errors import ConfigurationError

MAX_BYTES = 1024 * 1024
"""A catalog of a thousand deployments takes some 200 KiB."""

MAX_DEPTH = 16
"""Nested collections; a catalog needs five."""

Location = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Located:
    """A document, and the line of every location in it."""

    document: Any
    lines: dict[Location, int]

    def line(self, location: Location) -> int:
        """The line (from 1) of a field; of the nearest thing around it where the field itself is missing."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location, 1)

    @staticmethod
    def path(location: Location) -> str:
        """Such as `deployments[2].price.input_per_mtok`."""
        text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
        return text.removeprefix(".")


def load(
    text: str,
    source: str,
    *,
    what: str = "catalog",
    wanted: str = "`providers` and `deployments`",
    max_depth: int = MAX_DEPTH,
) -> Located:
    """Parse YAML safely. Raises ConfigurationError naming the line for what is not plain, unambiguous YAML.

    `what` the file is and what is `wanted` in it are for the messages.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise ConfigurationError(f"{source}:1: the {what} is larger than {MAX_BYTES // 1024} KiB. Split it.")
    try:
        _refuse_tricks(text, source, max_depth)
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                raise ConfigurationError(f"{source}:1: the {what} is empty. Add {wanted}.")
            lines: dict[Location, int] = {}
            _index(node, (), lines, source)
            return Located(loader.construct_document(node), lines)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ConfigurationError(f"{source}:{line}: this is not plain YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{source}:1: this is not plain YAML: {error}") from None
    except ValueError as error:
        raise ConfigurationError(f"{source}:1: a value cannot be read: {error}") from None


def _refuse_tricks(text: str, source: str, max_depth: int) -> None:
    """Aliases, which can make a small file huge, and nesting that only an attacker writes."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent):
            raise ConfigurationError(f"{source}:{line}: aliases (*{event.anchor}) are not allowed; write it out.")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > max_depth:
            raise ConfigurationError(f"{source}:{line}: nested deeper than {max_depth} levels; five are mostly enough.")


def _index(node: yaml.Node, location: Location, lines: dict[Location, int], source: str) -> None:
    lines[location] = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            _index(child, (*location, index), lines, source)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, child in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                hint = " Put on, off, yes and no in quotes." if key.tag == "tag:yaml.org,2002:bool" else ""
                raise ConfigurationError(f"{source}:{line}: a field's name must be plain text.{hint}")
            if key.value in seen:
                raise ConfigurationError(
                    f"{source}:{line}: {Located.path((*location, key.value))}: the field occurs twice; remove one."
                )
            seen.add(key.value)
            _index(child, (*location, key.value), lines, source)
            lines[(*location, key.value)] = line
