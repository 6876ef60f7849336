from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal

import orjson
import psycopg
import pytest
from sqlalchemy import cast, literal, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from customhouse.contracts.errors import ConfigurationError, NotReady
from customhouse.storage.engine import (
    create_engine,
    in_transaction,
    is_connection_failure,
    is_retryable,
    libpq_url,
    parse_url,
    shown_url,
    to_json,
)
from customhouse.storage.ids import new_id
from tests.stack import running_postgres


class TestUrls:
    @pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg", "postgresql+asyncpg"])
    def test_any_postgres_scheme_means_psycopg(self, scheme: str) -> None:
        url = f"{scheme}://ann:p%40ss@db:5433/customhouse?sslmode=require"
        assert parse_url(url).drivername == "postgresql+psycopg"
        assert libpq_url(url) == "postgresql://ann:p%40ss@db:5433/customhouse?sslmode=require"

    def test_a_shown_url_bears_no_password(self) -> None:
        assert shown_url("postgres://ann:secret@db/customhouse") == "postgresql://ann:***@db/customhouse"

    @pytest.mark.parametrize("url", ["", "not a url", "mysql://ann:secret@db/customhouse", "postgresql:"])
    def test_a_bad_url_says_the_mend_and_not_the_password(self, url: str) -> None:
        with pytest.raises(ConfigurationError, match="postgresql://") as caught:
            parse_url(url)
        assert "secret" not in caught.value.message


class TestJson:
    def test_nul_which_jsonb_cannot_hold_is_replaced(self) -> None:
        assert orjson.loads(to_json({"a\0": ["b\0c", 1]})) == {
            "a\N{REPLACEMENT CHARACTER}": ["b\N{REPLACEMENT CHARACTER}c", 1]
        }

    def test_an_escaped_backslash_before_u0000_is_no_nul(self) -> None:
        assert orjson.loads(to_json({"a": "\\u0000"})) == {"a": "\\u0000"}

    @pytest.mark.parametrize(
        ("amount", "written"),
        [("0.0000000010", "0.000000001"), ("0E-10", "0"), ("1200.50", "1200.5"), ("1E+3", "1000"), ("100", "100")],
    )
    def test_money_is_written_plainly(self, amount: str, written: str) -> None:
        assert orjson.loads(to_json({"usd": Decimal(amount)})) == {"usd": written}

    async def test_jsonb_goes_in_and_out(self, engine: AsyncEngine) -> None:
        value = {"text": "naïve \N{SNOWMAN}", "list": [1, 2.5, None, True], "nul": "a\0b"}
        async with engine.connect() as connection:
            echoed = (await connection.execute(select(cast(literal(value, JSONB), JSONB)))).scalar_one()
        assert echoed == {**value, "nul": "a\N{REPLACEMENT CHARACTER}b"}


class TestConnections:
    async def test_times_are_utc_and_waits_are_bounded(self, engine: AsyncEngine) -> None:
        async with engine.connect() as connection:
            now = (await connection.execute(text("SELECT now()"))).scalar_one()
            assert now.utcoffset() == timedelta(0)
            assert now.tzinfo is not None
            for setting in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
                assert (await connection.execute(text(f"SHOW {setting}"))).scalar_one() not in ("0", "")
            name = await connection.execute(text("SHOW application_name"))
            assert name.scalar_one() == "customhouse-test"

    async def test_work_is_done_again_after_its_connection_was_killed(
        self, engine: AsyncEngine, storage_url: str
    ) -> None:
        async def backend(connection: AsyncConnection) -> int:
            return int((await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one())

        pids = await asyncio.gather(*(in_transaction(engine, backend) for _ in range(4)))
        async with await psycopg.AsyncConnection.connect(libpq_url(storage_url), autocommit=True) as admin:
            await admin.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", [list(set(pids))])
        assert await in_transaction(engine, backend) not in pids

    async def test_a_killed_connection_is_a_connection_failure(self, engine: AsyncEngine) -> None:
        with pytest.raises(DBAPIError) as caught:
            async with engine.begin() as connection:
                await connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        assert is_connection_failure(caught.value)
        assert is_retryable(caught.value)

    async def test_a_mistake_in_the_work_is_raised_at_once(self, engine: AsyncEngine) -> None:
        runs = 0

        async def work(connection: AsyncConnection) -> None:
            nonlocal runs
            runs += 1
            await connection.execute(text("SELECT no_such_column"))

        with pytest.raises(ProgrammingError) as caught:
            await in_transaction(engine, work)
        assert runs == 1
        assert not is_retryable(caught.value)

    async def test_nothing_of_failed_work_stays(self, engine: AsyncEngine) -> None:
        async def work(connection: AsyncConnection) -> None:
            await connection.execute(text("CREATE TABLE half (n int)"))
            raise KeyError("broken off")

        with pytest.raises(KeyError):
            await in_transaction(engine, work)
        async with engine.connect() as connection:
            assert (await connection.execute(text("SELECT to_regclass('half')"))).scalar_one() is None

    async def test_a_deadlock_is_resolved_by_another_try(self, engine: AsyncEngine) -> None:
        async with engine.begin() as connection:
            await connection.execute(text("CREATE TABLE counters (id int PRIMARY KEY, n int)"))
            await connection.execute(text("INSERT INTO counters VALUES (1, 0), (2, 0)"))
        both_hold_one = asyncio.Barrier(2)
        met = False

        async def bump(first: int, second: int) -> None:
            async def work(connection: AsyncConnection) -> None:
                nonlocal met
                await connection.execute(text("UPDATE counters SET n = n + 1 WHERE id = :id"), {"id": first})
                if not met:
                    await both_hold_one.wait()
                    met = True
                await connection.execute(text("UPDATE counters SET n = n + 1 WHERE id = :id"), {"id": second})

            await in_transaction(engine, work)

        await asyncio.gather(bump(1, 2), bump(2, 1))
        async with engine.connect() as connection:
            counts = await connection.execute(text("SELECT n FROM counters"))
            assert counts.scalars().all() == [2, 2]

    async def test_a_server_that_is_not_there_is_not_ready_and_says_where(self, tmp_path: object) -> None:
        engine = create_engine(f"postgresql://ann:secret@/none?host={tmp_path}", pool_size=1, application_name="test")

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(text("SELECT 1"))

        with pytest.raises(NotReady, match="Look whether it runs") as caught:
            await in_transaction(engine, work, patience=timedelta(milliseconds=120))
        assert "secret" not in caught.value.message
        assert str(tmp_path).rsplit("/", 1)[-1] in caught.value.message
        await engine.dispose()

    async def test_an_exhausted_pool_is_not_ready(self, storage_url: str) -> None:
        engine = create_engine(storage_url, pool_size=1, application_name="test")
        engine.pool._timeout = 0.01  # type: ignore[attr-defined]  # five seconds in production

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(text("SELECT 1"))

        async with engine.connect():
            with pytest.raises(NotReady):
                await in_transaction(engine, work, patience=timedelta(milliseconds=80))
        await engine.dispose()

    async def test_work_waits_out_a_restart_of_postgres(self) -> None:
        async with running_postgres() as postgres:
            engine = create_engine(postgres.url("postgres"), pool_size=2, application_name="test")

            async def work(connection: AsyncConnection) -> int:
                return int((await connection.execute(text("SELECT 42"))).scalar_one())

            assert await in_transaction(engine, work) == 42
            await postgres.stop()
            waiting = asyncio.create_task(in_transaction(engine, work, patience=timedelta(seconds=60)))
            await postgres.start()
            assert await waiting == 42
            await engine.dispose()


class TestIds:
    def test_ids_are_uuid7_and_sort_by_the_time_they_were_made(self) -> None:
        made = [new_id() for _ in range(10_000)]
        assert made == sorted(made)
        assert len(set(made)) == len(made)
        assert {identity.version for identity in made} == {7}
