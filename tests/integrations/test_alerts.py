"""Alerts by the real apprise, to a webhook on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from customhouse.contracts.errors import ConfigurationError
from customhouse.contracts.governance import Severity
from customhouse.governance.alerts.sending import Notice
from customhouse.integrations import alerts
from customhouse.integrations.alerts import Places
from tests.doubles.house import until
from tests.doubles.receiver import Receiver, running_receiver
from workers.embedded.ports import free_port

NOTICE = Notice("[high] Blocked as jailbreak: user:u", "why\n\nabout: user:u", Severity.HIGH)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as running:
        yield running


async def test_a_webhook_gets_title_and_body(receiver: Receiver) -> None:
    async with Places(receiver.url("hook"), Severity.MEDIUM) as places:
        (place,) = places.all
        assert await places.send(place, NOTICE) is None
    (taken,) = receiver.taken
    assert (taken["title"], taken["message"], taken["type"], taken["path"]) == (
        NOTICE.title,
        NOTICE.body,
        "failure",
        "/hook",
    )


async def test_one_that_refuses_is_named_without_its_secrets(receiver: Receiver) -> None:
    receiver.statuses = [500]
    url = receiver.url("hunter2secret").replace("json://", "json://robot:swordfish@")
    async with Places(url, Severity.MEDIUM) as places:
        answer = await places.send(places.all[0], NOTICE)
    assert answer is not None
    assert answer.startswith("place 1 (json) did not take it: ")
    assert "500" in answer
    assert "hunter2secret" not in answer
    assert "swordfish" not in answer
    assert receiver.taken == []


async def test_one_that_is_away_is_said_to_be_so() -> None:
    async with Places(f"json://localhost:{free_port()}/secretpath", Severity.MEDIUM) as places:
        answer = await places.send(places.all[0], NOTICE)
    assert answer is not None
    assert "onnection" in answer
    assert "secretpath" not in answer
    assert "localhost" not in answer  # which apprise says; for some services the host is a secret


async def test_one_that_hangs_is_given_up(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "ALERT_SEND_TIMEOUT", timedelta(milliseconds=50))
    receiver.gate.clear()
    async with Places(receiver.url(), Severity.MEDIUM) as places:
        assert await places.send(places.all[0], NOTICE) == "place 1 (json) has not answered for 0.05 s"
    receiver.gate.set()


async def test_reasons_of_places_that_are_told_at_once_are_kept_apart(receiver: Receiver) -> None:
    gone = f"json://127.0.0.1:{free_port()}"
    async with Places(f"{gone}/a,{receiver.url()}", Severity.MEDIUM) as places:
        receiver.statuses = [404]
        receiver.gate.clear()
        waiting = asyncio.create_task(places.send(places.all[1], NOTICE))
        await until(lambda: receiver.asked)
        away = await places.send(places.all[0], NOTICE)
        receiver.gate.set()
        refused = await waiting
    assert away is not None
    assert refused is not None
    assert "onnection" in away
    assert "404" in refused
    assert "onnection" not in refused


def test_entries_may_have_a_least_severity_and_commas() -> None:
    places = Places("json://h/a,b , high=mailto://u:pa,ss@gmail.com,json://h/a,b,info=json://h/c", Severity.MEDIUM)
    places.close()
    assert [(place.name, place.minimum) for place in places.all] == [
        ("place 1 (json)", Severity.MEDIUM),
        ("place 2 (mailto)", Severity.HIGH),
        ("place 4 (json)", Severity.INFO),  # the third is the first once more
    ]
    assert len({place.fingerprint for place in places.all}) == 3


@pytest.mark.parametrize(
    ("urls", "said"),
    [
        ("slak://tokenA/tokenB/tokenC", "no scheme 'slak'"),
        ("json://h,slack://tokenA", "Entry 2 of CUSTOMHOUSE_ALERT_URLS (slack://…)"),
        ("tokenA@example.com", "Entry 1 of CUSTOMHOUSE_ALERT_URLS is no URL"),
        ("urgent=json://tokenA", "urgent=, which is no severity"),
    ],
)
def test_a_wrong_url_is_refused_without_its_secret(urls: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Places(urls, Severity.MEDIUM)
    assert said in caught.value.message
    assert "tokenA" not in caught.value.message
