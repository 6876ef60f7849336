"""The ledger's statements, as psycopg takes them."""

from __future__ import annotations

import pytest
from psycopg import _queries

from customhouse.storage import ledger_sql
from customhouse.storage.statements import statement, storable

STATEMENTS = {name: text for name, text in vars(ledger_sql).items() if name.isupper() and not name.startswith("_")}


def test_casts_are_no_parameters() -> None:
    assert statement("SELECT :name::text,\n   ':' WHERE x = :other_name") == (
        "SELECT %(name)s::text, ':' WHERE x = %(other_name)s"
    )


@pytest.mark.parametrize("name", sorted(STATEMENTS))
def test_psycopg_remembers_how_it_converted_each(name: str) -> None:
    """A longer one is taken apart anew on every call, which took 3 % of an invocation's CPU."""
    assert len(STATEMENTS[name]) <= _queries.MAX_CACHED_STATEMENT_LENGTH


@pytest.mark.parametrize(
    ("json_text", "stored"),
    [('{"a":"b"}', '{"a":"b"}'), ('{"a":["x\\u0000y"]}', '{"a":["x\N{REPLACEMENT CHARACTER}y"]}')],
)
def test_jsonb_knows_no_nul(json_text: str, stored: str) -> None:
    assert storable(json_text) == stored
