"""A whole process for the tests: real parts, the invocation worker and the API on a real socket."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import openai
import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import text

from customhouse.contracts.chat import Json
from customhouse.storage.keys import Keys, Role
from customhouse.storage.organizations import Organizations
from tests.doubles.provider import ProviderDouble
from workers.app import _server_config
from workers.compose import Parts, composed, doors, listen_for_cancels
from workers.invocation_worker import invocation_worker
from workers.settings import Settings

CATALOG = """
providers:
  - {{name: mock, kind: openai, base_url: "{mock}", api_key_env: MOCK_KEY, timeout_s: 60}}
  - {{name: backup, kind: openai, base_url: "{backup}", api_key_env: MOCK_KEY, timeout_s: 60}}
deployments:
  - {{model: solo, provider: mock, region: eu, lane: local, price: {price}}}
  - {{model: slow, provider: mock, region: eu, lane: regular, price: {price}}}
  - {{model: duo, provider: mock, region: eu, lane: local, price: {price}}}
  - {{model: duo, provider: backup, region: eu, lane: local, price: {price}}}
  - {{model: spread, provider: mock, region: eu, lane: local, price: {price}}}
  - {{model: spread, provider: backup, region: us, lane: local, price: {price}}}
  - {{model: elsewhere, provider: mock, region: eu, task_queue: "{queue}", price: {price}}}
  - {{model: unpriced, provider: mock, region: eu, lane: local}}
  - {{model: wordless, provider: mock, region: eu, lane: local, capabilities: [], price: {price}}}
"""

PRICE = "{input_per_mtok: 1.0, output_per_mtok: 2.0}"
"""With the double's usage (11 tokens in, 5 out) a call costs 0.000021 USD."""

CALL_USD = "0.000021"


async def until(condition: Callable[[], Any], deadline_s: float = 30) -> None:
    """Poll until the condition holds. It may be a coroutine function."""
    async with asyncio.timeout(deadline_s):
        while True:
            held = condition()
            if asyncio.iscoroutine(held):
                held = await held
            if held:
                return
            await asyncio.sleep(0.01)


@dataclass
class Tenant:
    """An organization, one of its keys, and clients that bear it."""

    house: House
    organization_id: UUID
    secret: str
    key_id: UUID

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.secret}"}

    @cached_property
    def http(self) -> httpx.AsyncClient:
        client = httpx.AsyncClient(base_url=self.house.url, headers=self.headers, timeout=60)
        self.house.closing.append(client.aclose)
        return client

    @cached_property
    def openai(self) -> openai.AsyncOpenAI:
        client = openai.AsyncOpenAI(base_url=f"{self.house.url}/v1", api_key=self.secret, max_retries=0, timeout=60)
        self.house.closing.append(client.close)
        return client

    async def rows(self, query: str, **parameters: Any) -> list[Json]:
        """Rows of this organization: the query names it as :organization_id."""
        return await self.house.rows(query, organization_id=self.organization_id, **parameters)

    async def costs(self) -> list[Json]:
        return await self.rows(
            "SELECT * FROM model_cost_logs WHERE organization_id = :organization_id ORDER BY created_at, attempt_number"
        )

    async def events(self) -> list[str]:
        rows = await self.rows("SELECT event_type FROM governance_events WHERE organization_id = :organization_id")
        return sorted(row["event_type"] for row in rows)

    async def invocations(self) -> list[Json]:
        return await self.rows("SELECT * FROM invocations WHERE organization_id = :organization_id ORDER BY created_at")

    async def ended(self, count: int = 1) -> list[Json]:
        """Its invocations, once that many have ended."""
        found: list[Json] = []

        async def all_ended() -> bool:
            found[:] = await self.invocations()
            return len([row for row in found if row["finished_at"] is not None]) >= count

        await until(all_ended)
        return found


@dataclass
class House:
    """One process: parts, worker and API."""

    parts: Parts
    app: FastAPI
    url: str
    provider: ProviderDouble
    closing: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    """Of the clients that were made."""

    async def tenant(
        self, role: Role = Role.MEMBER, *, of: Tenant | None = None, expires_at: datetime | None = None
    ) -> Tenant:
        """A new organization, or another key of one, with a key of its own."""
        if of is None:
            made = await Organizations(self.parts.engine).ensure(f"acme {uuid4()}", actor="test")
            organization_id = made.id
        else:
            organization_id = of.organization_id
        created = await Keys(self.parts.engine).create(
            organization_id, name=f"key {uuid4()}", role=role, expires_at=expires_at, actor="test"
        )
        return Tenant(self, organization_id, created.secret, created.record.id)

    async def operator(self) -> Tenant:
        """An operator's key of the installation's own organization."""
        own = Tenant(self, self.parts.organization_id, "", self.parts.organization_id)
        return await self.tenant(Role.OPERATOR, of=own)

    async def close_clients(self) -> None:
        while self.closing:
            await self.closing.pop()()

    async def rows(self, query: str, **parameters: Any) -> list[Json]:
        async with self.parts.engine.connect() as connection:
            return [dict(row._mapping) for row in await connection.execute(text(query), parameters)]

    async def change(self, statement: str, **parameters: Any) -> None:
        async with self.parts.engine.begin() as connection:
            await connection.execute(text(statement), parameters)


class _QuietServer(uvicorn.Server):
    """Leaves the test run's signals alone."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def running_house(
    database_url: str,
    temporal_address: str,
    provider: ProviderDouble,
    task_queue: str,
    *,
    worker: bool = True,
    catalog: str = CATALOG,
    **settings: Any,
) -> AsyncIterator[House]:
    """`worker` False: the API alone, as `customhouse api`."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ch-house-")))
        (folder / "catalog.yaml").write_text(
            catalog.format(
                mock=provider.base_url("mock"),
                backup=provider.base_url("backup"),
                queue=f"{task_queue}-own",
                price=PRICE,
            )
        )
        given: dict[str, Any] = {
            "database_url": SecretStr(database_url),
            "temporal_address": temporal_address,
            "task_queue": task_queue,
            "catalog": folder / "catalog.yaml",
            "sandbox": True,
            "similarity_deadline_ms": 10_000,  # the machine of a test run is busy
            **settings,
        }
        chosen = Settings(**given)
        parts = await stack.enter_async_context(composed(chosen, {"MOCK_KEY": "sk-mock-0123456789"}))
        if worker:
            await listen_for_cancels(parts)
            await stack.enter_async_context(invocation_worker(parts))
        the_doors = doors(parts, has_worker=worker)
        await the_doors.invoker.listen()
        config = _server_config(chosen, the_doors)
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        server = _QuietServer(config)
        serving = asyncio.create_task(server.serve([listening]))
        await until(lambda: server.started or serving.done())
        port = listening.getsockname()[1]
        app = config.app
        assert isinstance(app, FastAPI)
        house = House(parts, app, f"http://127.0.0.1:{port}", provider)
        try:
            yield house
        finally:
            await house.close_clients()
            server.should_exit = True
            await serving
