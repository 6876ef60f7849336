"""`customhouse alerts`: what operators are told of, on the command line."""

from __future__ import annotations

import socket
from uuid import UUID

from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy.ext.asyncio import AsyncEngine

from customhouse.contracts.alerts import AlertStatus
from customhouse.contracts.errors import ConfigurationError, UnprocessableField
from customhouse.contracts.governance import Severity
from customhouse.governance.alerts.sending import Notice, Place
from customhouse.integrations.alerts import VARIABLE
from customhouse.storage.alerts import AlertFilter, AlertRecord, Alerts
from customhouse.storage.pages import PageRequest
from workers.alerting import places_of
from workers.database import database_url
from workers.organization_command import ACTOR, for_organization, parsed_id
from workers.settings import Settings

_STYLES = {
    Severity.INFO: "dim",
    Severity.LOW: "dim",
    Severity.MEDIUM: "yellow",
    Severity.HIGH: "red",
    Severity.CRITICAL: "bold red",
}


async def list_newest(settings: Settings, organization: str, *, status: str | None, limit: int) -> list[AlertRecord]:
    """The newest ones. Raises NotFound if there is no such organization, UnprocessableField for an unknown status."""
    if status is not None and status not in tuple(AlertStatus):
        raise UnprocessableField(f"{status!r} is no status; there are {', '.join(AlertStatus)}.", param="status")

    async def work(engine: AsyncEngine, organization_id: UUID) -> list[AlertRecord]:
        page = await Alerts(engine).list_page(
            organization_id, AlertFilter(status=None if status is None else AlertStatus(status)), PageRequest.of(limit)
        )
        return page.data

    return await for_organization(database_url(settings), organization, work, name="alerts")


async def acknowledge(settings: Settings, organization: str, alert_id: str, *, note: str | None) -> AlertRecord:
    """Raises UnprocessableField if `alert_id` is no id, NotFound, and Conflict if it is closed."""
    parsed = parsed_id(alert_id, of="alert", shown_by="customhouse alerts list")

    async def work(engine: AsyncEngine, organization_id: UUID) -> AlertRecord:
        return await Alerts(engine).acknowledge(organization_id, parsed, actor=ACTOR, note=note)

    return await for_organization(database_url(settings), organization, work, name="alerts")


async def close(settings: Settings, organization: str, alert_id: str, *, note: str | None) -> AlertRecord:
    """Raises UnprocessableField if `alert_id` is no id, and NotFound."""
    parsed = parsed_id(alert_id, of="alert", shown_by="customhouse alerts list")

    async def work(engine: AsyncEngine, organization_id: UUID) -> AlertRecord:
        return await Alerts(engine).close(organization_id, parsed, actor=ACTOR, note=note)

    return await for_organization(database_url(settings), organization, work, name="alerts")


async def test(settings: Settings) -> list[tuple[Place, str | None]]:
    """Sends a test to every place, whatever its least severity, and says what each answered: None once it is taken.

    Raises ConfigurationError where no place is configured, or one is wrong.
    """
    places = places_of(settings)
    if places is None:
        raise ConfigurationError(f"{VARIABLE} is not set, so alerts are only listed. Set it to apprise URLs.")
    text = f"Sent by `customhouse alerts test` from {socket.gethostname()}. There is nothing to do."
    notice = Notice("[info] Test: Customhouse's alerts arrive here", text, Severity.INFO)
    async with places:
        return [(place, await places.send(place, notice)) for place in places.all]


def show_test(console: Console, answers: list[tuple[Place, str | None]]) -> bool:
    """Whether all have taken it."""
    for place, wrong in answers:
        console.print(
            Text(f"{place.name}: {'taken' if wrong is None else wrong}", style="" if wrong is None else "red")
        )
    return all(wrong is None for _, wrong in answers)


def show(console: Console, records: list[AlertRecord]) -> None:
    table = Table()
    table.add_column("id", min_width=36, no_wrap=True)  # whole in any terminal, to be pasted into `alerts ack`
    for name in ("severity", "what", "times", "last seen", "state", "sent"):
        table.add_column(name)
    for alert in records:
        table.add_row(
            str(alert.id),
            Text(alert.severity, style=_STYLES[alert.severity]),
            Text(alert.title),  # a user's id may look like markup
            str(alert.count),
            f"{alert.last_seen:%Y-%m-%d %H:%M}",
            alert.status,
            _sent(alert),
        )
    console.print(table)


def _sent(alert: AlertRecord) -> Text:
    if alert.notified_at is not None:
        return Text(f"{alert.notified_at:%H:%M}")
    return Text(alert.notify_error or "", style="yellow")
