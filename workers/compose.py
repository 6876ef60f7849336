"""The composition root: settings → clients → activities, workflows and doors. Nothing else builds them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import orjson
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from activities.alerts import AlertDesk, AlertSender
from activities.attempt import AttemptFactory
from activities.begin import BeginActivity
from activities.budget_watch import BudgetWatch
from activities.call import CallActivity
from activities.chunk_sink import ChunkSink
from activities.clear import Clear
from activities.content import ContentAccess
from activities.drift import DriftActivity
from activities.examination import Examiner
from activities.housekeeping import HousekeepingActivity
from activities.inspection import Inspector
from activities.latency import LatencyBook
from activities.live import Live
from activities.outcomes import Costing
from activities.record import RecordActivity
from activities.recorder import Recorder
from api.auth import Authenticator
from api.client_address import ClientAddresses
from api.doors import Doors
from api.invoker import Invoker
from api.settling import Settling
from customhouse import __version__
from customhouse.contracts.catalog import Catalog
from customhouse.contracts.errors import ConfigurationError
from customhouse.contracts.invocation import CancelRequest
from customhouse.contracts.search_attributes import SEARCH_ATTRIBUTES
from customhouse.governance.budgets.worst_case import WorstCases
from customhouse.governance.lanes import MIN_SAMPLES
from customhouse.governance.policy import Policy
from customhouse.governance.pricing import Pricer
from customhouse.integrations import temporal_client
from customhouse.integrations.codec import EncryptionCodec, Keys, parse_keys
from customhouse.integrations.providers.http import provider_http_client
from customhouse.integrations.providers.registry import Providers
from customhouse.integrations.sealing import Sealer
from customhouse.integrations.telemetry import Telemetry, TelemetrySettings, build_telemetry
from customhouse.storage.admin_key import ACTOR, ensure_admin_key
from customhouse.storage.alert_sending import AlertSending
from customhouse.storage.alerts import Alerts
from customhouse.storage.budget_alerts import BudgetThresholds
from customhouse.storage.budgets import Budgets
from customhouse.storage.bus import Bus
from customhouse.storage.contents import Contents
from customhouse.storage.cost_logs import CostLogs
from customhouse.storage.engine import create_engine
from customhouse.storage.feedback import FeedbackMarks
from customhouse.storage.invocations import Invocations
from customhouse.storage.keys import Keys as ApiKeys
from customhouse.storage.latency import recent_latency
from customhouse.storage.ledger import CANCEL_CHANNEL, Ledger
from customhouse.storage.organizations import Organizations
from customhouse.storage.scores import AbuseScores
from customhouse.storage.similarity_logs import SimilarityLogs
from customhouse.storage.statements import Statements
from workers.alerting import drift_reference, places_of
from workers.catalog_file import load_catalog
from workers.database import database_url
from workers.inspection import SIMILARITY, close_checks, inspector_of
from workers.limiting import Limiting, limiting
from workers.probes import probes_of
from workers.settings import Settings, parse_networks
from workers.similarity import Similarity, similarity

POOL_SIZE = 20
"""Connections a process: each is held for one statement, a few milliseconds."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What one process is made of."""

    settings: Settings
    process_id: str
    organization_id: UUID
    """The installation's own, which the settings name."""
    engine: AsyncEngine
    temporal: Client
    telemetry: Telemetry
    catalog: Catalog
    policy: Policy
    inspector: Inspector
    examiner: Examiner
    live: Live
    bus: Bus
    ledger: Ledger
    invocations: Invocations
    content: ContentAccess
    contents: Contents
    sealer: Sealer
    keys: Keys | None
    begin: BeginActivity
    call: CallActivity
    record: RecordActivity
    housekeeping: HousekeepingActivity
    drift: DriftActivity
    alerts: Alerts
    alert_desk: AlertDesk
    """Where whatever serves calls raises alerts: it takes no time."""
    alert_sender: AlertSender | None
    """None where alerts are only listed."""
    limiting: Limiting
    similarity: Similarity


@asynccontextmanager
async def composed(settings: Settings, environ: Mapping[str, str]) -> AsyncIterator[Parts]:
    """All parts of a process, connected; closed in reverse on leaving.

    Raises ConfigurationError or NotReady, each naming the part, for whatever cannot be used or reached.
    """
    process_id = uuid4().hex
    catalog = load_catalog(settings.catalog, environ)
    keys = parse_keys(settings.encryption_key.get_secret_value()) if settings.encryption_key else None
    async with AsyncExitStack() as stack:
        url = database_url(settings)
        engine = create_engine(url, pool_size=POOL_SIZE, application_name="customhouse")
        stack.push_async_callback(engine.dispose)
        telemetry = build_telemetry(_telemetry_settings(settings, process_id))
        stack.callback(telemetry.shutdown)
        temporal = await _connect(settings, keys, telemetry)
        bus = await stack.enter_async_context(Bus(url))
        http = await stack.enter_async_context(provider_http_client())
        live = Live()
        sealer = Sealer(keys)
        contents = Contents(engine)
        statements = await stack.enter_async_context(
            Statements(url, size=POOL_SIZE, application_name="customhouse-ledger")
        )
        ledger, invocations = Ledger(statements), Invocations(engine)
        content = ContentAccess(contents, sealer)
        pricer = Pricer(catalog)
        latencies = await _latencies(engine, catalog)
        organization_id = await _own_organization(engine, settings)
        inspector = await asyncio.to_thread(inspector_of, settings, environ)
        stack.callback(close_checks, inspector)
        policy = inspector.policy
        alerts, places = Alerts(engine), places_of(settings)
        sender = None
        if places is not None:
            sender = AlertSender(AlertSending(engine), await stack.enter_async_context(places))
        desk = await stack.enter_async_context(
            AlertDesk(alerts, on_recorded=sender.wake if sender is not None else lambda: None)
        )
        await stack.enter_async_context(BudgetWatch(bus, BudgetThresholds(engine, alerts)))
        limited = await stack.enter_async_context(
            limiting(settings, engine, bus, organization_id=organization_id, process_id=process_id, alerts=desk)
        )
        near = await stack.enter_async_context(similarity(settings, url, engine, alerts=desk))
        examiner = Examiner(inspector, limited.admittance, near.step if policy.rule(SIMILARITY).enabled else None)
        attempts = AttemptFactory(
            examiner=examiner,
            catalog=catalog,
            providers=Providers(catalog, environ, http),
            costing=Costing(pricer),
            sink=ChunkSink(live, policy),
            telemetry=telemetry,
        )
        clear = Clear(limited.admittance, examiner, catalog, latencies, ledger, invocations, content)
        recorder = Recorder(ledger, invocations, live, policy, telemetry, process_id, desk, limited.admittance)
        call = CallActivity(
            catalog, attempts, pricer, WorstCases(catalog, pricer), ledger, live, latencies, content, recorder
        )
        yield Parts(
            settings=settings,
            process_id=process_id,
            organization_id=organization_id,
            engine=engine,
            temporal=temporal,
            telemetry=telemetry,
            catalog=catalog,
            policy=policy,
            inspector=inspector,
            examiner=examiner,
            live=live,
            bus=bus,
            ledger=ledger,
            invocations=invocations,
            content=content,
            contents=contents,
            sealer=sealer,
            keys=keys,
            begin=BeginActivity(clear, call),
            call=call,
            record=RecordActivity(recorder),
            housekeeping=HousekeepingActivity(engine, ledger, invocations, temporal),
            drift=DriftActivity(Organizations(engine), AbuseScores(engine), alerts, drift_reference()),
            alerts=alerts,
            alert_desk=desk,
            alert_sender=sender,
            limiting=limited,
            similarity=near,
        )


def doors(parts: Parts, *, has_worker: bool) -> Doors:
    """What the API is given."""
    settings = parts.settings
    invoker = Invoker(
        temporal=parts.temporal,
        task_queue=settings.task_queue,
        process_id=parts.process_id,
        live=parts.live,
        ledger=parts.ledger,
        invocations=parts.invocations,
        contents=parts.contents,
        bus=parts.bus,
        sealer=parts.sealer,
        telemetry=parts.telemetry,
        settling=Settling(parts.limiting.limiter, parts.live),
        has_worker=has_worker,
        examiner=parts.examiner if has_worker else None,
        relayed_models=frozenset(each.model for each in parts.catalog.deployments if each.task_queue is not None),
    )
    return Doors(
        authenticator=Authenticator(ApiKeys(parts.engine)),
        invoker=invoker,
        invocations=parts.invocations,
        cost_logs=CostLogs(parts.engine),
        content=parts.content,
        catalog=parts.catalog,
        telemetry=parts.telemetry,
        probes=probes_of(parts.engine, parts.temporal, settings),
        max_body_bytes=settings.max_body_bytes,
        codec=None if parts.keys is None else EncryptionCodec(parts.keys),
        organization_id=parts.organization_id,
        temporal_ui_url=settings.temporal_ui_url,
        temporal_namespace=settings.temporal_namespace,
        alerts=parts.alerts,
        budgets=Budgets(parts.engine),
        feedback=FeedbackMarks(parts.engine),
        addresses=ClientAddresses(parse_networks(settings.trusted_proxies or "")),
        block_book=parts.limiting.block_book,
        blocks=parts.limiting.blocks,
        limiter=parts.limiting.limiter,
        limits=parts.limiting.limits,
        similarity_logs=SimilarityLogs(parts.engine),
        similarity=parts.similarity.step,
    )


async def listen_for_cancels(parts: Parts) -> None:
    """For processes that make provider calls: cancels that other processes took."""

    def cancel(message: str) -> None:
        data = orjson.loads(message)
        invocation_id = UUID(data.pop("invocation_id"))
        parts.live.cancel(invocation_id, CancelRequest.model_validate(data))

    await parts.bus.subscribe(CANCEL_CHANNEL, cancel, on_gap=lambda: None)


def _telemetry_settings(settings: Settings, process_id: str) -> TelemetrySettings:
    return TelemetrySettings(
        endpoint=settings.otlp_endpoint,
        service_version=__version__,
        instance_id=process_id,
        protocol=settings.otlp_protocol,
        headers=settings.otlp_header_map,
        environment=settings.environment,
    )


async def _connect(settings: Settings, keys: Keys | None, telemetry: Telemetry) -> Client:
    if settings.temporal_address is None:
        raise ConfigurationError(
            "There is no Temporal: set CUSTOMHOUSE_TEMPORAL_ADDRESS (host:port), or start the embedded stack with "
            "`customhouse up`."
        )
    client = await temporal_client.connect(
        settings.temporal_address,
        namespace=settings.temporal_namespace,
        tls=settings.temporal_tls,
        tls_files=temporal_client.TlsFiles(
            cert=_read(settings.temporal_tls_cert),
            key=_read(settings.temporal_tls_key),
            ca=_read(settings.temporal_tls_ca),
        ),
        api_key=settings.temporal_api_key.get_secret_value() if settings.temporal_api_key else None,
        keys=keys,
        interceptors=telemetry.interceptors,
        runtime=temporal_client.build_runtime(),
    )
    await temporal_client.ensure_search_attributes(client, settings.temporal_namespace, SEARCH_ATTRIBUTES)
    return client


def _read(path: Path | None) -> bytes | None:
    try:
        return None if path is None else path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"The TLS file {path} cannot be read: {error.strerror}.") from error


async def _own_organization(engine: AsyncEngine, settings: Settings) -> UUID:
    """Made if there is none yet, with the admin key where the settings fix one."""
    if settings.admin_key is None:
        return (await Organizations(engine).ensure(settings.organization, actor=ACTOR)).id
    principal = await ensure_admin_key(
        engine, organization_name=settings.organization, secret=settings.admin_key.get_secret_value()
    )
    return principal.organization_id


async def _latencies(engine: AsyncEngine, catalog: Catalog) -> LatencyBook:
    recent = await recent_latency(engine, [deployment.id for deployment in catalog.deployments])
    return LatencyBook({id_: known.p95_ms / 1000 for id_, known in recent.items() if known.samples >= MIN_SAMPLES})
