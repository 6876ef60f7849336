from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from customhouse.contracts.errors import ConfigurationError, NotReady
from customhouse.storage import engine
from customhouse.storage.engine import libpq_url
from customhouse.storage.migrate import current_and_head, downgrade, include_name, migration_engine, upgrade
from customhouse.storage.models import Base
from customhouse.storage.partitions import partitioned_tables


def run_sql(database_url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(libpq_url(database_url), autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def tables(database_url: str) -> set[str]:
    return {str(row[0]) for row in run_sql(database_url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}


def test_models_and_migrations_are_in_step(database_url: str) -> None:
    with migration_engine(database_url).connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_name": include_name, "compare_server_default": True}
        )
        assert compare_metadata(context, Base.metadata) == []
        # Alembic does not compare this.
        by_month = "SELECT partrelid::regclass::text FROM pg_partitioned_table WHERE partstrat = 'r'"
        partitioned = connection.execute(text(by_month)).scalars()
        assert set(partitioned) == {table.name for table in partitioned_tables()}


def test_each_log_table_has_this_month_three_more_and_a_default(database_url: str) -> None:
    with migration_engine(database_url).connect() as connection:
        names = set(inspect(connection).get_table_names())
        months = connection.execute(
            text(
                "SELECT to_char(date_trunc('month', now()) + make_interval(months => n), '\"y\"YYYY\"m\"MM') "
                "FROM generate_series(0, 3) n"
            )
        )
        suffixes = ["default", *months.scalars()]
    for table in partitioned_tables():
        assert {f"{table.name}_{suffix}" for suffix in suffixes} <= names


def test_down_and_up_again(database_url: str) -> None:
    before = tables(database_url)
    downgrade(database_url)
    assert tables(database_url) == {"alembic_version"}
    assert current_and_head(database_url)[0] is None
    upgrade(database_url)
    assert tables(database_url) == before
    current, head = current_and_head(database_url)
    assert current == head is not None


def test_every_revision_goes_down_and_up(database_url: str) -> None:
    downgrade(database_url, "0001")
    assert current_and_head(database_url)[0] == "0001"
    upgrade(database_url)
    assert current_and_head(database_url)[0] != "0001"


def test_upgrading_at_head_changes_nothing(database_url: str) -> None:
    before = tables(database_url)
    upgrade(database_url)
    assert tables(database_url) == before


async def test_processes_that_migrate_at_once_do_not_collide(database_url: str) -> None:
    await asyncio.to_thread(downgrade, database_url)
    await asyncio.gather(*(asyncio.to_thread(upgrade, database_url) for _ in range(3)))
    current, head = await asyncio.to_thread(current_and_head, database_url)
    assert current == head


def test_a_migration_gives_up_on_a_lock_that_others_hold(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "LOCK_TIMEOUT", timedelta(milliseconds=50))
    with psycopg.connect(libpq_url(database_url)) as holder:
        holder.execute("SELECT count(*) FROM invocations")  # an ACCESS SHARE lock until the transaction ends
        with pytest.raises(NotReady, match="stayed locked"):
            downgrade(database_url)
    assert "invocations" in tables(database_url)


def test_a_newer_database_is_refused_with_the_mend(database_url: str) -> None:
    run_sql(database_url, "UPDATE alembic_version SET version_num = 'ffff'")
    with pytest.raises(ConfigurationError, match="newer version"):
        upgrade(database_url)


def test_a_server_that_is_not_there_is_not_ready(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="cannot be reached") as caught:
        upgrade(f"postgresql://ann:secret@/none?host={tmp_path}")
    assert "secret" not in caught.value.message


def test_a_user_who_may_not_create_the_extension_is_told_so(database_url: str) -> None:
    downgrade(database_url)
    run_sql(database_url, "DROP EXTENSION vector")
    database = run_sql(database_url, "SELECT current_database()")[0][0]
    role = f"limited_{database}"
    run_sql(
        database_url,
        f"CREATE ROLE {role} LOGIN; GRANT ALL ON SCHEMA public TO {role}; GRANT ALL ON alembic_version TO {role}",
    )
    try:
        with pytest.raises(ConfigurationError, match="CREATE EXTENSION vector"):
            upgrade(database_url.replace("//postgres@", f"//{role}@"))
    finally:
        run_sql(database_url, f"DROP OWNED BY {role}; DROP ROLE {role}")
