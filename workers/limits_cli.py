"""The commands `customhouse limits` and `customhouse blocks`. Each imports what it needs when it runs."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from workers.cli_options import Organization, attached
from workers.database import database_url

limits = typer.Typer(help="Rate limits: set, list and remove them.", no_args_is_help=True)
blocks = typer.Typer(help="Block lists: add entries, list and take them away.", no_args_is_help=True)


@limits.command("set")
def limits_set(
    scope: Annotated[str, typer.Argument(help="organization, user, agent, key or ip.")],
    metric: Annotated[str, typer.Argument(help="requests, tokens or usd.")],
    amount: Annotated[str, typer.Argument(help="How many pass within the window.")],
    per: Annotated[str, typer.Option(help="The window: minute, 5 minutes, hour, day, or seconds.")] = "minute",
    subject: Annotated[str, typer.Option(help="Of whom: an id or an address; * is each one.")] = "*",
    organization: Organization = None,
) -> None:
    """Set a limit, instead of the one with the same scope, metric, window and subject. It holds within two seconds."""
    from workers import limits_command

    settings = attached()
    record = asyncio.run(
        limits_command.put(
            database_url(settings),
            organization or settings.organization,
            scope=scope,
            metric=metric,
            amount=amount,
            window=per,
            subject=subject,
        )
    )
    typer.echo(f"Limit {record.id} is set.")


@limits.command("list")
def limits_list(organization: Organization = None) -> None:
    """List an organization's limits."""
    from rich.console import Console

    from workers import limits_command

    settings = attached()
    records = asyncio.run(limits_command.list_all(database_url(settings), organization or settings.organization))
    limits_command.show(Console(), records)


@limits.command("remove")
def limits_remove(
    limit_id: Annotated[str, typer.Argument(metavar="ID", help="As `limits list` shows it.")],
    organization: Organization = None,
) -> None:
    """Remove a limit."""
    from workers import limits_command

    settings = attached()
    record = asyncio.run(limits_command.remove(database_url(settings), organization or settings.organization, limit_id))
    typer.echo(f"Limit {record.id} is removed.")


@blocks.command("add")
def blocks_add(
    kind: Annotated[str, typer.Argument(help="ip, user, agent or key.")],
    subject: Annotated[str, typer.Argument(help="An address or CIDR, or an id.")],
    reason: Annotated[str, typer.Option(help="Why, for the operators.")],
    effect: Annotated[str, typer.Option(help="deny, allow (never denied) or only (nobody else is let in).")] = "deny",
    network: Annotated[str | None, typer.Option("--from", help="Of a user, agent or key: only from there.")] = None,
    lasts: Annotated[
        str | None, typer.Option("--for", help="How long: hour, 3 days, or seconds. Else until it is taken away.")
    ] = None,
    organization: Organization = None,
) -> None:
    """Add an entry. It holds within two seconds."""
    from workers import blocks_command

    settings = attached()
    record = asyncio.run(
        blocks_command.add(
            database_url(settings),
            organization or settings.organization,
            kind=kind,
            subject=subject,
            reason=reason,
            effect=effect,
            network=network,
            lasts=lasts,
        )
    )
    typer.echo(f"Block {record.id} ({record.effect} {record.kind} {record.subject}) is added.")


@blocks.command("list")
def blocks_list(
    past: Annotated[bool, typer.Option("--past", help="Also those that have expired or were taken away.")] = False,
    organization: Organization = None,
) -> None:
    """List an organization's entries, newest first."""
    from rich.console import Console

    from workers import blocks_command

    settings = attached()
    organization = organization or settings.organization
    records = asyncio.run(blocks_command.list_newest(database_url(settings), organization, past=past))
    blocks_command.show(Console(), records)


@blocks.command("remove")
def blocks_remove(
    block_id: Annotated[str, typer.Argument(metavar="ID", help="As `blocks list` shows it.")],
    organization: Organization = None,
) -> None:
    """Take an entry away."""
    from workers import blocks_command

    settings = attached()
    record = asyncio.run(blocks_command.remove(database_url(settings), organization or settings.organization, block_id))
    typer.echo(f"Block {record.id} ({record.effect} {record.kind} {record.subject}) is taken away.")
