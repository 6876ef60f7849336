"""Looking up the nearest of a million earlier prompts: `python -m benchmarks.similarity`.

Builds a database of its own in a temporary folder (minutes), then looks up and stores prompts as `clear` does, while
the index takes in what was stored. Prints latency, by size of the organization, and how many near-copies were found.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import time
from collections import defaultdict
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import numpy as np
import psycopg
from rich.console import Console

from benchmarks import lifetime, report
from benchmarks.bars import Bar
from benchmarks.figures import Percentiles, percentiles
from benchmarks.similarity_corpus import SEED, Corpus, copy_rows, jittered, make, middles
from benchmarks.stack import work_folder
from customhouse.contracts.timing import SIMILARITY_STATEMENT_TIMEOUT
from customhouse.governance.similarity.embedder import Vector
from customhouse.governance.similarity.packing import packed
from customhouse.storage.engine import create_engine, libpq_url
from customhouse.storage.ids import new_id
from customhouse.storage.migrate import upgrade
from customhouse.storage.prompt_index import PromptIndex
from customhouse.storage.prompt_vectors import SEARCH_SETTINGS, PromptVectors
from customhouse.storage.statements import Statements, statement
from workers.embedded.postgres import Postgres

P95_LIMIT_MS = 10.0
FOUND_LIMIT = 0.95
DAYS = 90
MOVE_AT_ONCE = 100
COPIES = (0.94, 0.995)
"""Cosines of the near-copies that are looked for."""

STAGE = statement(
    """
    INSERT INTO prompt_vectors_staged (id, organization_id, prompt_hash, vector)
    VALUES (:id, :organization_id, :prompt_hash, :vector)
    """
)


async def main(size: int, lookups: int, data: Path, kept: Path | None, *, printer: Console) -> int:
    corpus = make(size, middles(data))
    async with AsyncExitStack() as opened:
        folder = await opened.enter_async_context(work_folder(keep=False)) if kept is None else kept
        postgres = Postgres(
            folder / "data", folder / "run", folder / "postgres.log",
            {"max_wal_size": "8GB", "maintenance_work_mem": "1GB", "max_parallel_maintenance_workers": "2"},
        )  # fmt: skip
        await postgres.start()
        opened.push_async_callback(postgres.stop)
        await postgres.create_database()
        url = postgres.url()
        await asyncio.to_thread(upgrade, url)
        if not await _is_filled(url, size):
            await _fill(url, corpus, printer)

        engine = create_engine(url, pool_size=4, application_name="benchmark")
        opened.push_async_callback(engine.dispose)
        searching = await opened.enter_async_context(
            Statements(
                url, size=8, application_name="benchmark-search", statement_timeout=SIMILARITY_STATEMENT_TIMEOUT,
                parameters=SEARCH_SETTINGS,
            )
        )  # fmt: skip
        storing = await opened.enter_async_context(Statements(url, size=8, application_name="benchmark-store"))
        prompts = PromptVectors(engine, searching)
        work = _Work(corpus, prompts, storing)
        await work.run(lookups // 4, at_once=1)  # what is cold is not what is measured
        found = await work.found(min(300, lookups))
        index = asyncio.create_task(_index(PromptIndex(engine)))
        rounds = {at_once: await work.run(lookups, at_once=at_once) for at_once in (1, 8)}
        index.cancel()
        with suppress(asyncio.CancelledError):
            await index
    _tell(size, rounds, found, work.timed_out, printer)
    return 0


async def _is_filled(url: str, size: int) -> bool:
    """True where an earlier run has left its database."""
    async with await psycopg.AsyncConnection.connect(libpq_url(url)) as connection:
        rows = await (
            await connection.execute(
                "SELECT count(*) >= %s AND to_regclass('filled') IS NOT NULL FROM prompt_vectors", [size]
            )
        ).fetchone()
    return rows is not None and bool(rows[0])


async def _fill(url: str, corpus: Corpus, printer: Console) -> None:
    now = datetime.now(UTC)
    async with await psycopg.AsyncConnection.connect(libpq_url(url), autocommit=True) as connection:
        index = await (
            await connection.execute("SELECT pg_get_indexdef('ix_prompt_vectors_vector'::regclass)")
        ).fetchone()
        assert index is not None
        await connection.execute("DROP INDEX ix_prompt_vectors_vector")
        clock = time.perf_counter()
        async with connection.cursor() as cursor:
            columns = "id, created_at, organization_id, prompt_hash, vector"
            async with cursor.copy(f"COPY prompt_vectors ({columns}) FROM STDIN (FORMAT binary)".encode()) as copy:
                for part in copy_rows(corpus, DAYS, now):
                    await copy.write(part)
        printer.print(f"{len(corpus.vectors):,} prompts stored in {time.perf_counter() - clock:.0f} s")
        clock = time.perf_counter()
        await connection.execute(str(index[0]).replace(" ON ONLY ", " ON ").encode())
        await connection.execute("VACUUM (ANALYZE) prompt_vectors")
        await connection.execute("CREATE TABLE filled ()")
        printer.print(f"indexed in {time.perf_counter() - clock:.0f} s")


class _Work:
    def __init__(self, corpus: Corpus, prompts: PromptVectors, storing: Statements) -> None:
        self._corpus = corpus
        self._prompts = prompts
        self._storing = storing
        self._rng = np.random.default_rng(SEED + 1)
        self.timed_out = 0

    async def run(self, lookups: int, *, at_once: int) -> dict[str, list[float]]:
        """Seconds of each, by what it is; half of the prompts are near-copies of one in their organization."""
        seconds: dict[str, list[float]] = defaultdict(list)
        turns = itertools.count()

        async def one_after_another() -> None:
            while next(turns) < lookups:
                organization, vector = self._prompt(farthest=0.6)
                size = _size_class(organization)
                started = time.perf_counter()
                try:
                    await self._prompts.nearest(self._corpus.ids[organization], vector, other_than=new_id())
                except psycopg.errors.QueryCanceled:
                    self.timed_out += 1
                looked = time.perf_counter()
                await self._store(self._corpus.ids[organization], vector)
                stored = time.perf_counter()
                seconds["lookup"].append(looked - started)
                seconds[f"lookup, {size} organization"].append(looked - started)
                seconds["insert"].append(stored - looked)
                seconds["lookup and insert"].append(stored - started)

        await asyncio.gather(*(one_after_another() for _ in range(at_once)))
        return seconds

    async def found(self, lookups: int) -> dict[str, tuple[int, int]]:
        """Of near-copies looked up, how many were found (the copied prompt, or a nearer one), by size."""
        found: dict[str, tuple[int, int]] = {}
        for _ in range(lookups):
            organization, vector, score = self._copy()
            size = _size_class(organization)
            try:
                match = await self._prompts.nearest(self._corpus.ids[organization], vector, other_than=new_id())
            except psycopg.errors.QueryCanceled:
                match = None
            hits, all_ = found.get(size, (0, 0))
            found[size] = (hits + (match is not None and match.score >= score - 0.002), all_ + 1)
        return found

    def _copy(self) -> tuple[int, Vector, float]:
        # As many from each class of size: most prompts are in two large organizations.
        classes = ((0, 2), (2, 10), (10, len(self._corpus.ids)))
        low, high = classes[self._rng.integers(len(classes))]
        organization = int(self._rng.integers(low, high))
        original = self._corpus.vectors[self._rng.choice(np.flatnonzero(self._corpus.organizations == organization))]
        original = original.astype(np.float32)[None]
        copy = jittered(original, self._rng, *COPIES)
        return organization, copy[0], float(copy[0] @ original[0] / np.linalg.norm(original))

    def _prompt(self, farthest: float) -> tuple[int, Vector]:
        place = int(self._rng.integers(len(self._corpus.vectors)))
        vector = self._corpus.vectors[place].astype(np.float32)[None]
        if self._rng.random() < 0.5:
            return int(self._corpus.organizations[place]), jittered(vector, self._rng, *COPIES)[0]
        return int(self._corpus.organizations[place]), jittered(vector, self._rng, farthest, 0.9)[0]

    async def _store(self, organization_id: UUID, vector: Vector) -> None:
        identity = new_id()
        await self._storing.run(
            STAGE,
            {
                "id": identity,
                "organization_id": organization_id,
                "prompt_hash": f"{identity.int:064x}",
                "vector": packed(vector),
            },
        )


def _size_class(organization: int) -> str:
    return "large" if organization < 2 else "middling" if organization < 10 else "small"


async def _index(index: PromptIndex) -> None:
    while True:
        taken = await index.move(MOVE_AT_ONCE, settled=timedelta(0))
        await asyncio.sleep(0.5 if taken < MOVE_AT_ONCE else 0.05)


def _tell(
    size: int,
    rounds: dict[int, dict[str, list[float]]],
    found: dict[str, tuple[int, int]],
    timed_out: int,
    printer: Console,
) -> None:
    bars: list[Bar] = []
    figures: dict[str, dict[str, Percentiles]] = {}
    for at_once, seconds in rounds.items():
        printer.print(f"{at_once} at once, {len(seconds['lookup'])} lookups, milliseconds p50, p95, p99")
        told = {name: percentiles(each) for name, each in sorted(seconds.items())}
        for name, each in told.items():
            printer.print(f"  {name:34} {each.p50:7.2f} {each.p95:7.2f} {each.p99:7.2f}")
        figures[f"{at_once} at once"] = told
        bars.append(
            Bar(f"p95 of lookup and insert, {at_once} at once", told["lookup and insert"].p95, P95_LIMIT_MS, unit="ms")
        )
    for name, (hits, all_) in sorted(found.items()):
        printer.print(f"near-copies found, {name} organization: {hits} of {all_}")
    hits, all_ = (sum(each) for each in zip(*found.values(), strict=True))
    bars.append(Bar("share of near-copies found", hits / all_, FOUND_LIMIT, "at least"))
    report.finish(
        "similarity",
        printer,
        {"prompts": size, "latency_ms": figures, "found": found, "timed_out": timed_out},
        bars,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.similarity", description="The nearest of a million.")
    parser.add_argument("--prompts", type=int, default=1_000_000)
    parser.add_argument("--lookups", type=int, default=2_000)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/abuse"), help="where real prompts are")
    parser.add_argument("--folder", type=Path, help="keep the database here, and use it again the next time")
    options = parser.parse_args()
    lifetime.run(lambda: main(options.prompts, options.lookups, options.data, options.folder, printer=report.console()))
