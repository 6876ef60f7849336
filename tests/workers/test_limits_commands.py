from __future__ import annotations

import io
from datetime import timedelta

import pytest
from rich.console import Console

from customhouse.contracts.errors import NotFound, UnprocessableField
from customhouse.storage.engine import create_engine
from customhouse.storage.organizations import Organizations
from workers import blocks_command, limits_command


@pytest.fixture
async def acme(database_url: str) -> str:
    engine = create_engine(database_url, pool_size=1, application_name="customhouse-test")
    await Organizations(engine).ensure("acme", actor="test")
    await engine.dispose()
    return database_url


async def test_limits_are_set_listed_and_removed(acme: str) -> None:
    made = await limits_command.put(
        acme, "acme", scope="user", metric="usd", amount="1.5", window="5 minutes", subject="u-17"
    )
    assert (made.window_s, str(made.amount.normalize()), made.updated_by) == (300, "1.5", "command-line")
    assert await limits_command.list_all(acme, "acme") == [made]

    out = io.StringIO()
    limits_command.show(Console(file=out, width=200), [made])
    for shown in (str(made.id), "u-17", "1.5 usd", "5m0s"):
        assert shown in out.getvalue()

    assert await limits_command.remove(acme, "acme", str(made.id)) == made
    assert await limits_command.list_all(acme, "acme") == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"scope": "planet"}, "'organization', 'user'"),
        ({"metric": "emails"}, "emails"),
        ({"amount": "many"}, "requests: Input should be a number"),
        ({"amount": "1.5"}, "valid integer"),
        ({"amount": "10000000000"}, "less than or equal to"),
        ({"amount": "0"}, "greater than or equal to 1"),
        ({"window": "fortnight"}, "'fortnight' is no window"),
        ({"window": "5 years"}, "less than or equal to"),
        ({"scope": "key", "subject": "mine"}, "UUID"),
    ],
    ids=str,
)
async def test_a_limit_that_makes_no_sense_is_refused(acme: str, wrong: dict[str, str], said: str) -> None:
    asked = {"scope": "user", "metric": "requests", "amount": "60", "window": "minute", "subject": "*", **wrong}
    with pytest.raises(UnprocessableField) as refused:
        await limits_command.put(acme, "acme", **asked)
    assert said in refused.value.message


@pytest.mark.parametrize(
    ("window", "s"), [("second", 1), ("minute", 60), ("5 minutes", 300), ("2 hours", 7200), ("day", 86_400), ("90", 90)]
)
def test_windows_are_written_as_people_write_them(window: str, s: int) -> None:
    assert limits_command.seconds(window) == s


async def test_blocks_are_added_listed_and_taken_away(acme: str) -> None:
    made = await blocks_command.add(
        acme,
        "acme",
        kind="user",
        subject="u-17",
        reason="a test",
        effect="deny",
        network="192.0.2.7/24",
        lasts="3 days",
    )
    assert made.network == "192.0.2.0/24"
    assert made.expires_at is not None
    assert abs(made.expires_at - made.created_at - timedelta(days=3)) < timedelta(minutes=1)
    assert await blocks_command.list_newest(acme, "acme", past=False) == [made]

    removed = await blocks_command.remove(acme, "acme", str(made.id))
    assert await blocks_command.list_newest(acme, "acme", past=False) == []
    assert await blocks_command.list_newest(acme, "acme", past=True) == [removed]

    out = io.StringIO()
    blocks_command.show(Console(file=out, width=200), [made, removed])
    for shown in (str(made.id), "user u-17", "192.0.2.0/24", "until ", "removed ", "a test"):
        assert shown in out.getvalue()


async def test_what_is_not_there_is_told(acme: str) -> None:
    with pytest.raises(NotFound, match="no organization named 'nobody'"):
        await limits_command.list_all(acme, "nobody")
    with pytest.raises(UnprocessableField, match="'nonsense' is no limit id"):
        await limits_command.remove(acme, "acme", "nonsense")
    with pytest.raises(UnprocessableField, match="'nonsense' is no block id"):
        await blocks_command.remove(acme, "acme", "nonsense")
    with pytest.raises(UnprocessableField, match=r"example\.org"):
        await blocks_command.add(
            acme, "acme", kind="ip", subject="example.org", reason="r", effect="deny", network=None, lasts=None
        )
    with pytest.raises(UnprocessableField, match="network"):
        await blocks_command.add(
            acme, "acme", kind="ip", subject="192.0.2.1", reason="r", effect="deny", network="192.0.2.0/24", lasts=None
        )
