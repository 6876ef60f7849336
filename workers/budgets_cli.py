"""The `customhouse budgets` commands. What they do is in `budgets_command.py`, loaded when one of them runs."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from workers.cli_options import Organization, attached
from workers.database import database_url

app = typer.Typer(help="How much may be spent, by whom, and how much of it is left.", no_args_is_help=True)

BudgetId = Annotated[str, typer.Argument(metavar="ID", help="As `budgets list` shows it.")]
Amount = Annotated[str, typer.Argument(metavar="USD", help="Such as 250 or 0.5.")]
SoftPercent = Annotated[
    list[int] | None, typer.Option(help="Alert at this percentage; may be repeated. [default: 80]", min=1, max=1000)
]
Hard = Annotated[bool | None, typer.Option("--hard/--soft", help="Refuse calls without room, or only alert.")]
UnpricedCalls = Annotated[
    str | None, typer.Option("--unpriced", help="Calls whose price nobody knows: refuse or allow. [default: refuse]")
]


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="For people: it stands in refusals and alerts.")],
    amount_usd: Amount,
    period: Annotated[str, typer.Option(help="day, month or run. Days and months are those of UTC.")] = "month",
    scope: Annotated[str, typer.Option(help="organization, agent, user, key or workflow_execution.")] = "organization",
    scope_id: Annotated[
        str, typer.Option("--id", help="The agent's, user's, key's or run's id; `*`: each has it to itself.")
    ] = "*",
    hard: Hard = True,
    soft_percent: SoftPercent = None,
    unpriced: UnpricedCalls = None,
    organization: Organization = None,
) -> None:
    """Make a budget. What the running day or month has cost so far counts."""
    from workers import budgets_command

    settings = attached()
    fields = {
        "name": name,
        "amount_usd": amount_usd,
        "period": period,
        "scope": scope,
        "scope_id": scope_id,
        **({} if hard is None else {"hard": hard}),
        **({} if soft_percent is None else {"soft_percent": soft_percent}),
        **({} if unpriced is None else {"unpriced": unpriced}),
    }
    made = asyncio.run(budgets_command.create(database_url(settings), organization or settings.organization, **fields))
    typer.echo(f"Budget {made.id} ({made.name}) holds from the next call on.")


@app.command("list")
def list_all(organization: Organization = None) -> None:
    """List budgets with what is used, held and left in their current periods."""
    from rich.console import Console

    from workers import budgets_command

    settings = attached()
    found = asyncio.run(budgets_command.list_all(database_url(settings), organization or settings.organization))
    budgets_command.show(Console(), found)


@app.command("show")
def show(budget_id: BudgetId, organization: Organization = None) -> None:
    """Show one budget."""
    from rich.console import Console

    from workers import budgets_command

    settings = attached()
    organization = organization or settings.organization
    budgets_command.show(Console(), [asyncio.run(budgets_command.get(database_url(settings), organization, budget_id))])


@app.command("change")
def change(
    budget_id: BudgetId,
    name: Annotated[str | None, typer.Option(help="For people.")] = None,
    amount_usd: Annotated[str | None, typer.Option("--usd", metavar="USD", help="Such as 250 or 0.5.")] = None,
    hard: Hard = None,
    soft_percent: SoftPercent = None,
    unpriced: UnpricedCalls = None,
    organization: Organization = None,
) -> None:
    """Change what is given, from the next call on; the rest stays."""
    from workers import budgets_command

    settings = attached()
    organization = organization or settings.organization
    changed = asyncio.run(
        budgets_command.change(
            database_url(settings),
            organization,
            budget_id,
            name=name,
            amount_usd=amount_usd,
            hard=hard,
            soft_percent=soft_percent,
            unpriced=unpriced,
        )
    )
    typer.echo(f"Budget {changed.id} ({changed.name}) is changed.")


@app.command("delete")
def delete(budget_id: BudgetId, organization: Organization = None) -> None:
    """Delete a budget: it bounds nothing any more."""
    from workers import budgets_command

    settings = attached()
    organization = organization or settings.organization
    asyncio.run(budgets_command.delete(database_url(settings), organization, budget_id))
    typer.echo(f"Budget {budget_id} is deleted.")


@app.command("verify")
def verify(organization: Organization = None) -> None:
    """Compare every budget with the cost log and the open attempts. Exit code 1 if one differs."""
    from rich.console import Console

    from workers import budgets_command

    settings = attached()
    drift = asyncio.run(budgets_command.verify(database_url(settings), organization or settings.organization))
    budgets_command.show_drift(Console(), drift)
    if drift:
        raise typer.Exit(1)
