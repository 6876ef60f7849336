from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from aiohttp import web
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from customhouse.contracts.errors import ConfigurationError
from customhouse.storage.engine import libpq_url
from workers.doctor.finding import Finding, State
from workers.doctor.run import diagnose, is_well
from workers.embedded.ports import free_port
from workers.embedded.postgres import Postgres
from workers.settings import Settings, load_settings, variable


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(variable(name), raising=False)
    monkeypatch.setenv("CUSTOMHOUSE_DATA_DIR", str(tmp_path / "data"))


@dataclass
class ProviderServer:
    """Lists models, to those who know the key."""

    port: int = 0
    status: int = 200
    body: str = json.dumps({"data": [{"id": "mock-model"}]})
    seen: list[dict[str, str]] = field(default_factory=list)

    async def models(self, request: web.Request) -> web.Response:
        self.seen.append({"path": request.path, **{k.lower(): v for k, v in request.headers.items()}})
        return web.Response(status=self.status, text=self.body, content_type="application/json")


@pytest.fixture
async def provider() -> AsyncIterator[ProviderServer]:
    server = ProviderServer()
    app = web.Application()
    app.router.add_get("/v1/models", server.models)
    runner = web.AppRunner(app)
    await runner.setup()
    server.port = free_port()
    await web.TCPSite(runner, "127.0.0.1", server.port).start()
    yield server
    await runner.cleanup()


def _catalog(folder: Path, port: int, kind: str = "openai", model: str = "mock-model") -> Path:
    path = folder / "catalog.yaml"
    base = f"http://127.0.0.1:{port}" + ("/v1" if kind == "openai" else "")
    path.write_text(
        f'providers:\n  - {{name: mock, kind: {kind}, base_url: "{base}", api_key_env: MOCK_KEY}}\n'
        f"deployments:\n  - {{model: {model}, provider: mock}}\n"
    )
    return path


async def _one(part: str, settings: Settings, **environ: str) -> Finding:
    (finding,) = await diagnose(settings, environ, [part])
    return finding


@workflow.defn
class Nothing:
    @workflow.run
    async def run(self) -> None:
        """Lets a worker poll."""


async def test_all_is_well(
    database_url: str, temporal_address: str, task_queue: str, provider: ProviderServer, tmp_path: Path
) -> None:
    settings = load_settings(
        database_url=database_url,
        temporal_address=temporal_address,
        task_queue=task_queue,
        catalog=_catalog(tmp_path, provider.port),
        port=free_port(),
        encryption_key="MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    )
    client = await Client.connect(temporal_address)
    async with Worker(client, task_queue=task_queue, workflows=[Nothing], workflow_runner=UnsandboxedWorkflowRunner()):
        await client.execute_workflow(Nothing.run, id=task_queue, task_queue=task_queue)
        findings = await diagnose(settings, {"MOCK_KEY": "sk-mock"})
    assert is_well(findings), findings
    assert {f.part: f.state for f in findings if f.state is not State.OFF} == dict.fromkeys(
        (
            "settings", "catalog", "encryption key", "database", "clock", "temporal", "temporal search attributes",
            "temporal workers", "provider mock",
        ),
        State.OK,
    )  # fmt: skip
    assert provider.seen[0]["authorization"] == "Bearer sk-mock"


async def test_nothing_is_configured() -> None:
    findings = await diagnose(load_settings(port=free_port()), {})
    wrong = {f.part: f.detail for f in findings if f.state is State.WRONG}
    assert set(wrong) == {"catalog", "database", "temporal"}
    assert "CUSTOMHOUSE_DATABASE_URL" in wrong["database"]


async def test_database_that_is_not_migrated(postgres: Postgres) -> None:
    settings = load_settings(database_url=postgres.url("postgres"))
    finding = (await diagnose(settings, {}, ["database"]))[-1]
    assert (finding.state, finding.mend) == (State.WRONG, "Run `customhouse migrate`.")


async def test_database_that_may_not_be_written(database_url: str) -> None:
    with psycopg.connect(libpq_url(database_url), autocommit=True) as connection:
        connection.execute("CREATE ROLE reader LOGIN")
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    try:
        finding = await _one("database", load_settings(database_url=database_url.replace("postgres@", "reader@")))
    finally:
        with psycopg.connect(libpq_url(database_url), autocommit=True) as connection:
            connection.execute("DROP OWNED BY reader")
            connection.execute("DROP ROLE reader")
    assert finding.state is State.WRONG
    assert "permission denied for table organizations" in finding.detail


@pytest.mark.parametrize("part", ["database", "temporal"])
async def test_server_that_is_down(part: str) -> None:
    settings = load_settings(database_url="postgresql://u:hush@127.0.0.1:1/x", temporal_address="127.0.0.1:1")
    finding = await _one(part, settings)
    assert finding.state is State.WRONG
    assert "127.0.0.1:1" in finding.detail
    assert "hush" not in finding.detail


async def test_task_queue_without_a_worker(temporal_address: str, task_queue: str) -> None:
    settings = load_settings(temporal_address=temporal_address, task_queue=task_queue)
    finding = (await diagnose(settings, {}, ["temporal"]))[-1]
    assert (finding.part, finding.state) == ("temporal workers", State.WRONG)
    assert "customhouse worker" in finding.mend


async def test_namespace_that_is_not_there(temporal_address: str) -> None:
    finding = await _one("temporal", load_settings(temporal_address=temporal_address, temporal_namespace="nowhere"))
    assert finding.state is State.WRONG
    assert "CUSTOMHOUSE_TEMPORAL_NAMESPACE" in finding.detail


async def test_certificate_that_cannot_be_read(temporal_address: str) -> None:
    finding = await _one("temporal", load_settings(temporal_address=temporal_address, temporal_tls_cert="/no/such"))
    assert finding.detail.startswith("CUSTOMHOUSE_TEMPORAL_TLS_CERT=/no/such cannot be read")


@pytest.mark.parametrize(
    ("status", "body", "state", "says"),
    [
        (401, "{}", State.WRONG, "refuses the key (HTTP 401)"),
        (404, "{}", State.WARNING, "lists no models"),
        (500, "{}", State.WRONG, "answers HTTP 500"),
        (200, "<html>", State.WRONG, "does not answer with a list of models"),
        (200, "[]", State.WRONG, "does not answer with a list of models"),
        (200, '{"data": [{"id": "another"}]}', State.WARNING, "does not list mock-model"),
    ],
)
async def test_provider_that_is_not_well(
    provider: ProviderServer, tmp_path: Path, status: int, body: str, state: State, says: str
) -> None:
    provider.status, provider.body = status, body
    finding = await _one("providers", load_settings(catalog=_catalog(tmp_path, provider.port)))
    assert (finding.part, finding.state) == ("provider mock", state)
    assert says in finding.detail
    assert finding.mend


async def test_provider_that_is_down(tmp_path: Path) -> None:
    finding = await _one("providers", load_settings(catalog=_catalog(tmp_path, free_port())))
    assert finding.state is State.WRONG
    assert "does not answer" in finding.detail


async def test_anthropic_is_asked_in_its_own_way(provider: ProviderServer, tmp_path: Path) -> None:
    settings = load_settings(catalog=_catalog(tmp_path, provider.port, kind="anthropic"))
    finding = await _one("providers", settings, MOCK_KEY="sk-ant-mock")
    assert finding.state is State.OK
    assert provider.seen[0]["x-api-key"] == "sk-ant-mock"
    assert provider.seen[0]["anthropic-version"] == "2023-06-01"
    assert "authorization" not in provider.seen[0]


async def test_collector_that_is_down() -> None:
    finding = await _one(
        "collector", load_settings(otlp_endpoint=f"http://127.0.0.1:{free_port()}", otlp_protocol="http")
    )
    assert finding.state is State.WRONG
    assert "CUSTOMHOUSE_OTLP_ENDPOINT" in finding.detail


async def test_misspelt_variable() -> None:
    finding = await _one("settings", load_settings(), CUSTOMHOUSE_PROT="1")
    assert (finding.state, finding.mend) == (State.WARNING, "Did you mean CUSTOMHOUSE_PORT?")


async def test_encryption_key_that_is_none() -> None:
    assert (await _one("encryption key", load_settings(encryption_key="abc"))).state is State.WRONG


async def test_data_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    assert (await _one("data folder", load_settings())).state is State.WRONG


async def test_api_that_is_not_ready(provider: ProviderServer) -> None:
    finding = await _one("api", load_settings(port=provider.port))
    assert finding.state is State.WRONG
    assert "HTTP 404" in finding.detail


async def test_part_that_does_not_exist() -> None:
    with pytest.raises(ConfigurationError, match="There is no part heart"):
        await diagnose(load_settings(), {}, ["heart"])
