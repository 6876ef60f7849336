"""docs/configuration.md says what the code does."""

from __future__ import annotations

import re

import pytest
from pydantic import BaseModel

from customhouse.contracts import timing
from customhouse.contracts.catalog import Deployment, Price, Provider
from customhouse.governance.catalog import parse_catalog
from tests.docs.pages import ROOT, Block, blocks, code, page, pages, table
from tests.docs.reference import SETTINGS_HEAD, defaults, setting_rows
from workers.catalog_file import DEFAULT_CATALOG
from workers.compose import POOL_SIZE
from workers.settings import PREFIX, Settings, variable

CONFIGURATION = page("docs/configuration.md")

OWN_VARIABLES = {"CUSTOMHOUSE"}
"""Shell variables of the examples that only look like settings."""


def test_every_setting_is_documented_as_it_is() -> None:
    found = [line for line in CONFIGURATION.section("Settings").splitlines() if line.startswith("|")]
    assert found == [*SETTINGS_HEAD, *setting_rows()], "paste the output of: python -m tests.docs.reference"


def test_every_variable_named_anywhere_exists() -> None:
    known = {variable(field) for field in Settings.model_fields} | OWN_VARIABLES
    for each in pages():
        named = set(re.findall(rf"\b({PREFIX}[A-Z0-9_]+)\b", each.text))
        assert named <= known, f"{each} names {named - known}"


def test_other_variables_are_read_somewhere() -> None:
    named = {name for row in table(CONFIGURATION.section("Other variables")) for name in code(row[0])}
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "customhouse").rglob("*.py"))
    sources += DEFAULT_CATALOG.read_text(encoding="utf-8")
    assert named
    assert {name for name in named if name not in sources} == set()


@pytest.mark.parametrize(
    ("heading", "model"), [("providers", Provider), ("deployments", Deployment), ("price", Price)], ids=str
)
def test_every_field_of_the_catalog_is_documented(heading: str, model: type[BaseModel]) -> None:
    rows = table(CONFIGURATION.section(heading))
    assert {code(row[0])[0]: row[1] for row in rows} == defaults(model)
    assert all(len(row) == 3 and row[2].endswith(".") for row in rows)


@pytest.mark.parametrize("block", [b for b in blocks("yaml") if "deployments:" in b.text], ids=str)
def test_catalogs_in_the_docs_can_be_used(block: Block) -> None:
    assert parse_catalog(block.text, str(block), {}).deployments


def test_times_of_the_recovery_guide() -> None:
    rows = {code(row[0])[0]: row[1] for row in table(page("docs/guides/recovery.md").section("Times"))}
    retry = timing.CALL_RETRY
    assert retry.maximum_interval is not None
    shown = f"{retry.maximum_attempts} attempts, {retry.initial_interval.total_seconds():g} s to "
    assert rows.pop("CALL_RETRY").startswith(shown + f"{retry.maximum_interval.total_seconds():g} s")
    for name, text in rows.items():
        amount, unit = text.split()
        seconds = float(amount) * {"s": 1, "min": 60, "h": 3600}[unit]
        assert getattr(timing, name).total_seconds() == seconds, name


def test_connections_of_a_process() -> None:
    pools, bus = 2, 2  # the engine's and the ledger's; the bus listens on one connection and publishes on another
    assert f"up to {pools * POOL_SIZE + bus} connections" in page("docs/guides/operations.md").text
