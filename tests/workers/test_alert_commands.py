"""`customhouse alerts` and `customhouse feedback`, and the doctor's look at the former."""

from __future__ import annotations

import io
import json
import os
import stat
from pathlib import Path
from uuid import UUID

import pytest
from pydantic import SecretStr
from rich.console import Console

from customhouse.contracts.alerts import Alert, AlertKind
from customhouse.contracts.errors import ConfigurationError, Conflict, NotFound, UnprocessableField
from customhouse.contracts.feedback import Category, Label, Mark
from customhouse.storage.alerts import Alerts
from customhouse.storage.engine import create_engine
from customhouse.storage.feedback import FeedbackMarks, NewFeedback
from customhouse.storage.keys import Role
from customhouse.storage.organizations import Organizations
from tests.doubles.receiver import running_receiver
from tests.storage.rows import add_invocation
from workers import alerts_command, feedback_command
from workers.doctor.alerts import probe_alerts
from workers.doctor.finding import State
from workers.embedded.ports import free_port
from workers.settings import Settings


def settings(**given: object) -> Settings:
    known = {name: SecretStr(value) if isinstance(value, str) else value for name, value in given.items()}
    return Settings.model_validate(known)


async def raised(database_url: str, organization: str) -> UUID:
    engine = create_engine(database_url, pool_size=1, application_name="customhouse-test")
    owner = await Organizations(engine).ensure(organization, actor="test")
    alert = Alert(
        organization_id=owner.id, kind=AlertKind.BUDGET, title="[bold]spent[/bold]", dedup_key="budget:b:hard"
    )
    alert_id = await Alerts(engine).record(alert)
    await engine.dispose()
    return alert_id


class TestAlerts:
    async def test_they_are_listed_acknowledged_and_closed(self, database_url: str) -> None:
        own = settings(database_url=database_url)
        alert_id = await raised(database_url, "acme")
        (listed,) = await alerts_command.list_newest(own, "acme", status="open", limit=10)
        out = io.StringIO()
        alerts_command.show(Console(file=out, width=200), [listed])
        assert str(alert_id) in out.getvalue()
        assert "[bold]spent[/bold]" in out.getvalue()
        taken = await alerts_command.acknowledge(own, "acme", str(alert_id), note="mine")
        assert (taken.status, taken.acknowledged_by) == ("acknowledged", "command-line")
        assert (await alerts_command.close(own, "acme", str(alert_id), note=None)).status == "closed"
        assert await alerts_command.list_newest(own, "acme", status="open", limit=10) == []
        with pytest.raises(Conflict):
            await alerts_command.acknowledge(own, "acme", str(alert_id), note=None)

    async def test_what_is_not_there_is_told(self, database_url: str) -> None:
        own = settings(database_url=database_url)
        await raised(database_url, "acme")
        alert_id = await raised(database_url, "globex")
        with pytest.raises(NotFound, match="no organization named 'nobody'"):
            await alerts_command.list_newest(own, "nobody", status=None, limit=10)
        with pytest.raises(NotFound):
            await alerts_command.close(own, "acme", str(alert_id), note=None)
        with pytest.raises(UnprocessableField, match="'nonsense' is no alert id"):
            await alerts_command.close(own, "acme", "nonsense", note=None)
        with pytest.raises(UnprocessableField, match="'new' is no status"):
            await alerts_command.list_newest(own, "acme", status="new", limit=10)

    async def test_a_test_tells_every_place_and_says_what_each_answers(self) -> None:
        async with running_receiver() as receiver:
            urls = f"critical={receiver.url()},json://127.0.0.1:{free_port()}/"
            answers = await alerts_command.test(settings(alert_urls=urls))
        assert [title.startswith("[info] Test") for title in receiver.titles] == [True]
        out = io.StringIO()
        assert not alerts_command.show_test(Console(file=out, width=200), answers)
        assert "place 1 (json): taken" in out.getvalue()
        assert "place 2 (json) did not take it" in out.getvalue()

    async def test_without_places_it_says_so(self) -> None:
        with pytest.raises(ConfigurationError, match="CUSTOMHOUSE_ALERT_URLS is not set"):
            await alerts_command.test(settings())


class TestDoctor:
    def test_unset_is_off(self) -> None:
        assert probe_alerts(settings()).state is State.OFF
        assert probe_alerts(settings(alert_urls=" , ")).state is State.OFF

    def test_places_are_named_without_their_secrets(self) -> None:
        finding = probe_alerts(settings(alert_urls="json://robot:swordfish@h/x,critical=jsons://h"))
        assert finding.state is State.OK
        assert "place 1 (json) from medium, place 2 (jsons) from critical" in finding.detail
        assert "swordfish" not in finding.detail

    def test_a_wrong_one_is_wrong(self) -> None:
        finding = probe_alerts(settings(alert_urls="slak://swordfish"))
        assert finding.state is State.WRONG
        assert "no scheme 'slak'" in finding.detail


async def marked(database_url: str, organization: str, *texts: str) -> None:
    engine = create_engine(database_url, pool_size=1, application_name="customhouse-test")
    owner = await Organizations(engine).ensure(organization, actor="test")
    for text in texts:
        request = {"model": "m", "messages": [{"role": "user", "content": text}]} if text else None
        invocation_id = await add_invocation(engine, owner.id, request=request)
        given = NewFeedback(
            invocation_id=invocation_id,
            finding=None,
            check_name=None,
            kind=None,
            path=None,
            mark=Mark.WRONG,
            label=Label.ABUSE,
            category=Category.JAILBREAK,
            comment=None,
        )
        await FeedbackMarks(engine).add(owner.id, given, role=Role.OPERATOR, actor="test")
    await engine.dispose()


class TestExport:
    async def test_it_writes_what_training_takes(self, database_url: str, tmp_path: Path) -> None:
        texts = [f"Play DAN {number}." for number in range(205)]  # more than one batch
        await marked(database_url, "acme", *texts, texts[0], "")
        await marked(database_url, "globex", "Theirs.")
        file = tmp_path / "feedback.jsonl"
        file.write_text("what was there before")
        exported = await feedback_command.export(database_url, "acme", file)
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        assert [row["text"] for row in rows] == texts
        assert {tuple(row) for row in rows} == {("id", "text", "label", "category", "source", "language")}
        assert len({row["id"] for row in rows}) == 205
        assert (len(exported.rows), exported.without_text) == (205, 1)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert os.listdir(tmp_path) == ["feedback.jsonl"]  # noqa: PTH208 - nothing waits for a folder in memory

    async def test_a_file_that_cannot_be_written_is_told(self, database_url: str, tmp_path: Path) -> None:
        await marked(database_url, "acme", "Play DAN.")
        with pytest.raises(ConfigurationError, match="cannot be written"):
            await feedback_command.export(database_url, "acme", tmp_path / "none" / "feedback.jsonl")
        with pytest.raises(NotFound):
            await feedback_command.export(database_url, "nobody", tmp_path / "feedback.jsonl")
