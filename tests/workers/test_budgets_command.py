"""`customhouse budgets`: what operators type, and what they read."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from customhouse.contracts.errors import NotFound, UnprocessableField
from customhouse.storage.engine import create_engine
from customhouse.storage.organizations import Organizations
from workers import budgets_command as command

TEAM: dict[str, Any] = {"name": "team", "scope": "agent", "scope_id": "bot", "period": "day", "amount_usd": "2.5"}


@pytest.fixture
async def url(database_url: str) -> str:
    """A database with one organization, `acme`."""
    engine = create_engine(database_url, pool_size=1, application_name="customhouse-test")
    await Organizations(engine).ensure("acme", actor="test")
    await engine.dispose()
    return database_url


def printed(show: Any, *arguments: Any) -> str:
    text = io.StringIO()
    show(Console(file=text, width=240), *arguments)
    return text.getvalue()


async def test_the_life_of_a_budget(url: str) -> None:
    made = await command.create(url, "acme", **TEAM)
    assert (made.hard, made.soft_percent) == (True, [80])
    changed = await command.change(url, "acme", str(made.id), amount_usd="4", hard=False, name=None)
    assert (str(changed.amount_usd), changed.hard, changed.name) == ("4.0000000000", False, "team")
    text = printed(command.show, await command.list_all(url, "acme"))
    for word in (str(made.id), "team", "agent bot", "soft"):
        assert word in text
    assert (await command.get(url, "acme", str(made.id))).id == made.id
    assert await command.verify(url, "acme") == []
    assert "says what the cost log says" in printed(command.show_drift, [])
    await command.delete(url, "acme", str(made.id))
    assert await command.list_all(url, "acme") == []


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"amount_usd": "much"}, "amount_usd"),
        ({"period": "week"}, "period"),
        ({"scope": "organization"}, "scope_id"),
        ({"soft_percent": [0]}, "soft_percent.0"),
    ],
)
async def test_a_wrong_field_is_named(url: str, change: dict[str, Any], param: str) -> None:
    with pytest.raises(UnprocessableField) as caught:
        await command.create(url, "acme", **(TEAM | change))
    assert caught.value.param == param


async def test_what_is_not_there(url: str) -> None:
    with pytest.raises(UnprocessableField, match="no budget id"):
        await command.get(url, "acme", "x")
    with pytest.raises(NotFound):
        await command.delete(url, "acme", "01a20f40-fcba-72ef-bdcb-c1b434068edc")
    with pytest.raises(NotFound):
        await command.create(url, "nobody", **TEAM)
