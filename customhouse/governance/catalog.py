"""Reads a catalog from YAML. Whatever is wrong with it is named by file, line and field, all at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from customhouse.contracts.catalog import Catalog
from customhouse.contracts.errors import ConfigurationError
from customhouse.governance.catalog_source import Located, Location, load

_PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

_UNSET = "0"
"""Stands for an unset variable of a provider that is off (see `enabled`), so that the rest of it is still checked."""

_LOOKS_LIKE_A_KEY = re.compile(
    r"(?:sk|pk|rk|ck|gsk|hf|ghp|xai|api)[-_].{12,}|AIza.{20,}|AKIA.{12,}|(?=.*[a-z])(?=.*[0-9]).{32,}"
)
"""Beginnings of providers' keys, or a long mix of letters and digits: no name of a variable."""


def parse_catalog(text: str, source: str, environ: Mapping[str, str]) -> Catalog:
    """The catalog in `text`, which was read from `source`.

    `${NAME}` in a `base_url` is replaced from `environ`. Raises ConfigurationError with one line for every fault.
    """
    located = load(text, source)
    document = located.document
    if not isinstance(document, dict):
        raise _error(source, [(1, "", "the catalog must be a mapping with `providers` and `deployments`")])
    if faults := [*_misplaced_keys(located), *_expand(located, environ)]:
        raise _error(source, faults)
    try:
        catalog = Catalog.model_validate(document)
    except ValidationError as error:
        raise _error(source, [_fault(located, detail) for detail in error.errors()]) from None
    if faults := list(_inconsistencies(catalog, located)):
        raise _error(source, faults)
    return catalog


def enabled(catalog: Catalog, environ: Mapping[str, str]) -> Catalog:
    """The catalog without the providers, and their deployments, that need a key or a variable which is not set."""
    off = {
        provider.name
        for provider in catalog.providers
        if (provider.requires_key and not (provider.api_key_env and environ.get(provider.api_key_env)))
        or (provider.enabled_if is not None and not environ.get(provider.enabled_if))
    }
    if not off:
        return catalog
    return Catalog(
        providers=tuple(provider for provider in catalog.providers if provider.name not in off),
        deployments=tuple(deployment for deployment in catalog.deployments if deployment.provider not in off),
    )


Fault = tuple[int, str, str]
"""Line, field path, and what is wrong with what to do."""


def _error(source: str, faults: list[Fault]) -> ConfigurationError:
    lines = [f"{source}:{line}: {field + ': ' if field else ''}{message}" for line, field, message in sorted(faults)]
    return ConfigurationError("The catalog cannot be used.\n" + "\n".join(lines))


def _items(document: Any, section: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The mappings of one section, with their index; what is not a mapping is left to validation."""
    entries = document.get(section)
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict):
            yield index, entry


def _misplaced_keys(located: Located) -> Iterator[Fault]:
    for index, provider in _items(located.document, "providers"):
        value = provider.get("api_key_env")
        if isinstance(value, str) and _LOOKS_LIKE_A_KEY.fullmatch(value):
            location: Location = ("providers", index, "api_key_env")
            message = (
                "this looks like a key itself. Name the environment variable that holds it, such as OPENAI_API_KEY, "
                "and replace the key: a file is no safe place for it"
            )
            yield located.line(location), located.path(location), message


def _expand(located: Located, environ: Mapping[str, str]) -> Iterator[Fault]:
    for index, provider in _items(located.document, "providers"):
        url = provider.get("base_url")
        if not isinstance(url, str):
            continue
        condition = provider.get("enabled_if")
        is_off = isinstance(condition, str) and not environ.get(condition)
        for name in _PLACEHOLDER.findall(url):
            if not environ.get(name) and not is_off:
                location: Location = ("providers", index, "base_url")
                yield (
                    located.line(location),
                    located.path(location),
                    f"the environment variable {name} is not set. Set it, or write the address out",
                )
        provider["base_url"] = _PLACEHOLDER.sub(lambda match: environ.get(match[1]) or _UNSET, url)


def _fault(located: Located, detail: Any) -> Fault:
    location: Location = tuple(detail["loc"])
    message = str(detail["msg"]).removeprefix("Value error, ")
    if detail["type"] == "missing":
        message = "this field is required; add it"
    elif detail["type"] == "extra_forbidden":
        message = "there is no such field; remove it, or mend its name"
    elif location[-1:] == ("api_key_env",):
        message = "name an environment variable (letters, digits and underscores), such as OPENAI_API_KEY"
    return located.line(location), located.path(location), message[:1].lower() + message[1:]


def _inconsistencies(catalog: Catalog, located: Located) -> Iterator[Fault]:
    """What no single field shows: names that occur twice or are not defined."""
    names: set[str] = set()
    for index, provider in enumerate(catalog.providers):
        location: Location = ("providers", index, "name")
        if provider.name in names:
            yield located.line(location), located.path(location), f"there are two providers named {provider.name}"
        names.add(provider.name)
        if provider.requires_key and provider.api_key_env is None:
            location = ("providers", index, "requires_key")
            yield located.line(location), located.path(location), "a provider that requires a key needs api_key_env"
    ids: set[str] = set()
    for index, deployment in enumerate(catalog.deployments):
        location = ("deployments", index, "provider")
        if deployment.provider not in names:
            known = ", ".join(sorted(names)) or "none"
            message = f"there is no provider named {deployment.provider}; there are: {known}"
            yield located.line(location), located.path(location), message
        if deployment.id in ids:
            location = ("deployments", index, "model")
            message = f"{deployment.id} occurs twice; a model has one deployment a provider and region"
            yield located.line(location), located.path(location), message
        ids.add(deployment.id)
