from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from customhouse.contracts.errors import NotFound, UnprocessableField
from customhouse.storage.keys import Role
from workers import keys_command


async def test_keys_are_made_listed_and_revoked(database_url: str) -> None:
    made = await keys_command.create(
        database_url, organization="acme", name="ci", role=Role.OPERATOR, expires_in_days=7
    )
    assert made.record.expires_at is not None
    assert timedelta(days=6) < made.record.expires_at - datetime.now(UTC) <= timedelta(days=7)
    assert await keys_command.list_all(database_url, "acme") == [made.record]

    out = io.StringIO()
    keys_command.show(Console(file=out, width=200), [made.record])
    assert "operator" in out.getvalue()
    assert "valid until" in out.getvalue()
    assert made.secret not in out.getvalue()

    revoked = await keys_command.revoke(database_url, "acme", str(made.record.id))
    assert revoked.revoked_at is not None


async def test_what_is_not_there_is_told(database_url: str) -> None:
    with pytest.raises(NotFound, match="no organization named 'nobody'"):
        await keys_command.list_all(database_url, "nobody")
    with pytest.raises(UnprocessableField, match="'nonsense' is no key id"):
        await keys_command.revoke(database_url, "acme", "nonsense")
