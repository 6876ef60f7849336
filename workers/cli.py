"""The `customhouse` command. Each command imports what it needs when it runs, so that `--help` is quick."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from customhouse.contracts.errors import ConfigurationError, CustomhouseError
from workers import alerts_cli, budgets_cli, limits_cli
from workers.cli_options import Organization, attached
from workers.database import database_url
from workers.settings import Settings, load_settings

app = typer.Typer(
    name="customhouse",
    help="Governed LLM calls: each one a durable Temporal workflow, checked, routed, charged and recorded once.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
"""Names of commands and their help, and nothing else: Typer collects them as the module is read."""


def main() -> None:
    """Errors that we raise on purpose become one message on stderr: exit code 2 for configuration, 1 for the rest."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is loaded; see `workers/embedded/stack.py`
    try:
        app()
    except CustomhouseError as error:
        sys.stderr.write(f"customhouse: {error.message}\n")
        sys.exit(2 if isinstance(error, ConfigurationError) else 1)


@app.command()
def up() -> None:
    """Start the whole stack on this machine: Postgres, Temporal, a local model, and Customhouse. Ctrl-C stops it."""
    from rich.console import Console

    from workers.embedded.up import up as run

    asyncio.run(run(load_settings(), Console()))


@app.command()
def api(
    with_worker: Annotated[
        bool, typer.Option("--with-worker", help="Also work on invocations: the quickest answers, as under `up`.")
    ] = False,
) -> None:
    """Serve the API, with CUSTOMHOUSE_DATABASE_URL and CUSTOMHOUSE_TEMPORAL_ADDRESS. SIGTERM drains and stops it."""
    from workers.app import serve

    _run(serve(_logged(load_settings()), worker=with_worker))


@app.command()
def worker(
    queue: Annotated[
        list[str] | None,
        typer.Option(help="Make only the provider calls of deployments with this task queue; may be repeated."),
    ] = None,
) -> None:
    """Work on invocations, with the same two settings as `api`. SIGTERM drains and stops it."""
    from workers.app import work

    _run(work(_logged(load_settings()), queue or ()))


@app.command()
def migrate() -> None:
    """Bring the database to the schema of this version. Safe to run from several processes at once."""
    from customhouse.storage import migrate as migrations

    url = database_url(attached())
    migrations.upgrade(url)
    typer.echo(f"The database is at revision {migrations.current_and_head(url)[0]}.")


@app.command()
def doctor(
    only: Annotated[
        list[str] | None, typer.Option(help="Try this part alone, such as `database`; may be repeated.")
    ] = None,
) -> None:
    """Try every configured part for real, and say what is wrong and what to do. Exit code 1 if anything is."""
    from rich.console import Console

    from workers.doctor.run import PARTS, diagnose, is_well, show

    findings = asyncio.run(diagnose(attached(), os.environ, only or PARTS))
    show(Console(), findings)
    if not is_well(findings):
        raise typer.Exit(1)


@app.command()
def version() -> None:
    """Print the version."""
    from customhouse import __version__

    typer.echo(__version__)


catalog = typer.Typer(help="Work with catalogs of providers and deployments.", no_args_is_help=True)
app.add_typer(catalog, name="catalog")


@catalog.command("check")
def catalog_check(file: Annotated[Path, typer.Argument(help="The catalog, a YAML file.")]) -> None:
    """Check a catalog, and list what it serves here."""
    from rich.console import Console

    from workers.catalog_command import check

    check(file, os.environ, Console())


guardrails = typer.Typer(help="Work with rules for GuardrailsAI's validators.", no_args_is_help=True)
app.add_typer(guardrails, name="guardrails")


@guardrails.command("check")
def guardrails_check(file: Annotated[Path, typer.Argument(help="The rules, a YAML file.")]) -> None:
    """Load the validators of a file, and list what each failure leads to."""
    from rich.console import Console

    from workers.guardrails_command import check

    check(file, os.environ, Console())


class TextDirection(StrEnum):
    """The directions of `customhouse.contracts.governance.Direction`, not loaded for `--help`; a test compares them."""

    INPUT = "input"
    TOOL_RESULT = "tool_result"
    OUTPUT = "output"


@app.command()
def check(
    text: Annotated[str, typer.Argument(help="The text; `-` reads standard input.")] = "-",
    direction: Annotated[TextDirection, typer.Option(help="Where the text comes from.")] = TextDirection.INPUT,
) -> None:
    """Show what the checks find in a text, and the verdict. The last line is JSON. Exit code 1 if it is blocked."""
    from rich.console import Console

    from customhouse.contracts.governance import Direction, Verdict
    from workers.check_command import run
    from workers.inspection import inspector_of

    content = sys.stdin.read() if text == "-" else text
    verdict = run(inspector_of(load_settings(), os.environ), content, Direction(direction.value), Console())
    if verdict in (Verdict.BLOCK, Verdict.REVIEW):
        raise typer.Exit(1)


keys = typer.Typer(help="API keys: make, list and revoke them.", no_args_is_help=True)
app.add_typer(keys, name="keys")


class KeyRole(StrEnum):
    """The roles of `customhouse.storage.keys.Role`, which is not loaded for `--help` alone; a test compares them."""

    MEMBER = "member"
    OPERATOR = "operator"
    ADMIN = "admin"


@keys.command("create")
def keys_create(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    role: Annotated[KeyRole, typer.Option(help="What it may do.")] = KeyRole.MEMBER,
    organization: Organization = None,
    expires_in_days: Annotated[int | None, typer.Option(min=1, max=36500, help="Never, if left out.")] = None,
) -> None:
    """Make a key. It goes to standard output, this once; the organization is made if there is none of that name."""
    from customhouse.storage.keys import Role
    from workers import keys_command

    settings = attached()
    organization = organization or settings.organization
    created = asyncio.run(
        keys_command.create(
            database_url(settings),
            organization=organization,
            name=name,
            role=Role(role.value),
            expires_in_days=expires_in_days,
        )
    )
    typer.echo(f"Key {created.record.id} of {organization}. It is stored as a hash, and shown this once:", err=True)
    typer.echo(created.secret)


@keys.command("list")
def keys_list(organization: Organization = None) -> None:
    """List an organization's keys, revoked and expired ones too."""
    from rich.console import Console

    from workers import keys_command

    settings = attached()
    records = asyncio.run(keys_command.list_all(database_url(settings), organization or settings.organization))
    keys_command.show(Console(), records)


@keys.command("revoke")
def keys_revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `keys list` shows it.")],
    organization: Organization = None,
) -> None:
    """Revoke a key: within two seconds it is refused everywhere."""
    from workers import keys_command

    settings = attached()
    record = asyncio.run(keys_command.revoke(database_url(settings), organization or settings.organization, key_id))
    typer.echo(f"Key {record.id} ({record.name}) is revoked.")


app.add_typer(alerts_cli.alerts, name="alerts")
app.add_typer(alerts_cli.feedback, name="feedback")
app.add_typer(budgets_cli.app, name="budgets")
app.add_typer(limits_cli.limits, name="limits")
app.add_typer(limits_cli.blocks, name="blocks")


def _run(main: Coroutine[Any, Any, None]) -> None:
    import uvloop

    uvloop.run(main)


def _logged(settings: Settings) -> Settings:
    """The same settings, once this process logs as they say."""
    from customhouse.integrations import logs

    logs.configure(settings.log_level, settings.log_format)
    return settings


if __name__ == "__main__":
    main()
