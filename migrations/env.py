"""What Alembic runs: `customhouse.storage.migrate` hands it a connection; the `alembic` command itself gives a URL
in CUSTOMHOUSE_DATABASE_URL."""

from __future__ import annotations

import os

from alembic import context
from sqlalchemy import Connection

from customhouse.contracts.errors import ConfigurationError
from customhouse.storage.migrate import include_name, migration_engine
from customhouse.storage.models import Base


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_name=include_name,
        transaction_per_migration=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    database_url = os.environ.get("CUSTOMHOUSE_DATABASE_URL")
    if not database_url:
        raise ConfigurationError("Set CUSTOMHOUSE_DATABASE_URL to the database that Alembic shall work on.")
    with migration_engine(database_url).connect() as own:
        run(own)
