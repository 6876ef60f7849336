"""Reads the rules of `CUSTOMHOUSE_GUARDRAILS` from YAML. Whatever is wrong is named by file, line and field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from customhouse.contracts.errors import ConfigurationError
from customhouse.governance.catalog_source import Located, Location, load
from customhouse.governance.json_schema import MAX_DEPTH
from customhouse.governance.validators import GuardrailsSettings


class RulesFile:
    """The rules of one file, and where each of them stands in it."""

    def __init__(self, settings: GuardrailsSettings, source: str, located: Located) -> None:
        self.settings = settings
        self._source = source
        self._located = located

    def fault(self, rule: int, field: str, message: str) -> str:
        """A line that names what is wrong with a rule, by file, line and field."""
        location: Location = ("rules", rule, field)
        return f"{self._source}:{self._located.line(location)}: {Located.path(location)}: {message}"


def read_rules(path: Path) -> RulesFile:
    """Raises ConfigurationError, with one line for every fault, for a file that cannot be used."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"The guardrails file {path} cannot be read: {error.strerror}. Correct CUSTOMHOUSE_GUARDRAILS."
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"The guardrails file {path} is not UTF-8 text: {error.reason} at byte {error.start}."
        ) from error
    return parse_rules(text, str(path), path.parent)


def parse_rules(text: str, source: str, folder: Path) -> RulesFile:
    """The rules in `text`, which was read from `source`. A `guard` that is a path, such as `person.json`, is read: it
    counts from `folder`. Raises ConfigurationError.
    """
    located = load(text, source, what="guardrails file", wanted="`rules`", max_depth=MAX_DEPTH + 4)
    if not isinstance(located.document, dict):
        raise unusable([f"{source}:1: the file must be a mapping with `rules`"])
    _read_guards(located, source, folder)
    try:
        return RulesFile(GuardrailsSettings.model_validate(located.document), source, located)
    except ValidationError as error:
        raise unusable([_line(located, source, detail) for detail in error.errors()]) from None


def unusable(faults: list[str]) -> ConfigurationError:
    return ConfigurationError("The guardrails file cannot be used.\n" + "\n".join(dict.fromkeys(faults)))


def _read_guards(located: Located, source: str, folder: Path) -> None:
    """Puts what is in the files in place of their names."""
    rules = located.document.get("rules")
    faults: list[str] = []
    for index, rule in enumerate(rules if isinstance(rules, list) else ()):
        if not isinstance(rule, dict) or not isinstance(rule.get("guard"), str):
            continue
        file = folder / rule["guard"]
        try:
            rule["guard"] = orjson.loads(file.read_bytes())
        except (OSError, orjson.JSONDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else f"not JSON: {error}"
            place: Location = ("rules", index, "guard")
            mend = "Name a file that holds what Guard.to_dict() gives, as JSON"
            faults.append(f"{source}:{located.line(place)}: {Located.path(place)}: {file}: {why}. {mend}")
    if faults:
        raise unusable(faults)


def _line(located: Located, source: str, detail: Any) -> str:
    location: Location = tuple(detail["loc"])
    message = str(detail["msg"]).removeprefix("Value error, ")
    if detail["type"] == "missing":
        message = "this field is required; add it"
    elif detail["type"] == "extra_forbidden":
        message = "there is no such field; remove it, or mend its name"
    where = Located.path(location)
    return f"{source}:{located.line(location)}: {where + ': ' if where else ''}{message[:1].lower() + message[1:]}"
