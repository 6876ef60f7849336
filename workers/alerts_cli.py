"""The commands `customhouse alerts` and `customhouse feedback`. Each imports what it needs when it runs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from workers.cli_options import Organization, attached
from workers.database import database_url
from workers.settings import load_settings

alerts = typer.Typer(help="What operators are told of: abuse, blocks, budgets, drift.", no_args_is_help=True)
feedback = typer.Typer(help="Marks on findings.", no_args_is_help=True)

Note = Annotated[str | None, typer.Option(help="What the audit log is to say beside it.")]
AlertId = Annotated[str, typer.Argument(metavar="ID", help="As `alerts list` shows it.")]


@alerts.command("list")
def alerts_list(
    organization: Organization = None,
    status: Annotated[str | None, typer.Option(help="open, acknowledged or closed. [default: all]")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="The newest ones.")] = 50,
) -> None:
    """List an organization's alerts, newest first."""
    from rich.console import Console

    from workers import alerts_command

    settings = attached()
    organization = organization or settings.organization
    records = asyncio.run(alerts_command.list_newest(settings, organization, status=status, limit=limit))
    alerts_command.show(Console(), records)


@alerts.command("ack")
def alerts_ack(alert_id: AlertId, organization: Organization = None, note: Note = None) -> None:
    """Acknowledge an alert: somebody looks after it. It goes on counting."""
    from workers import alerts_command

    settings = attached()
    organization = organization or settings.organization
    record = asyncio.run(alerts_command.acknowledge(settings, organization, alert_id, note=note))
    typer.echo(f"Alert {record.id} ({record.title}) is {record.status}.")


@alerts.command("close")
def alerts_close(alert_id: AlertId, organization: Organization = None, note: Note = None) -> None:
    """Close an alert: what comes after it is a new one."""
    from workers import alerts_command

    settings = attached()
    organization = organization or settings.organization
    record = asyncio.run(alerts_command.close(settings, organization, alert_id, note=note))
    typer.echo(f"Alert {record.id} ({record.title}) is {record.status}.")


@alerts.command("test")
def alerts_test() -> None:
    """Send a test to every place of CUSTOMHOUSE_ALERT_URLS. Exit code 1 if one does not take it."""
    from rich.console import Console

    from workers import alerts_command

    if not alerts_command.show_test(Console(), asyncio.run(alerts_command.test(load_settings()))):
        raise typer.Exit(1)


@feedback.command("export")
def feedback_export(
    file: Annotated[Path, typer.Argument(help="JSON Lines, replaced if it is there.")],
    organization: Organization = None,
) -> None:
    """Write an organization's marked texts as labelled training data."""
    from workers import feedback_command

    settings = attached()
    organization = organization or settings.organization
    exported = asyncio.run(feedback_command.export(database_url(settings), organization, file))
    typer.echo(f"{len(exported.rows)} labelled texts are in {file}.")
    if exported.without_text:
        typer.echo(f"{exported.without_text} marks are left out: their text is not stored.", err=True)
