"""What budgets add to a call: the ledger's two statements, without any budget and with three that apply, in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID, uuid4

from customhouse.contracts.budgets import BudgetSpec
from customhouse.contracts.chat import ChatRequest, Usage
from customhouse.contracts.governance import Verdict
from customhouse.contracts.identity import fingerprint, trace_id, workflow_id
from customhouse.contracts.invocation import (
    AttemptOutcome,
    AttemptStatus,
    Caller,
    Decision,
    InvocationInput,
    InvocationResult,
    InvocationStatus,
    Lane,
    RecordInput,
    RouteStep,
)
from customhouse.storage.budgets import Budgets
from customhouse.storage.engine import create_engine
from customhouse.storage.ids import new_id
from customhouse.storage.ledger import Ledger
from customhouse.storage.ledger_rows import Opening
from customhouse.storage.organizations import Organizations
from customhouse.storage.statements import Statements, statement

ROUNDS, WARM_UP = 400, 40

_STEP = RouteStep(
    deployment_id="m@p@eu", model="m", provider="p", region="eu", lane=Lane.LOCAL, timeout_s=60, reason="the only one"
)
_USD = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Cost:
    """Of the two statements together."""

    p50_ms: float
    """Depends on the disk, and on what else the machine does."""
    cpu_ms: float
    """Of their connection's Postgres process, on the average."""


@dataclass(frozen=True, slots=True)
class Added:
    without: Cost
    with_three: Cost

    @property
    def added_cpu_ms(self) -> float:
        return self.with_three.cpu_ms - self.without.cpu_ms


async def measure(database_url: str) -> Added:
    """One call after the other, alternately of an organization without budgets and of one with three."""
    engine = create_engine(database_url, pool_size=2, application_name="benchmark")
    try:
        plain, bound = [
            (await Organizations(engine).ensure(f"budgets {uuid4()}", actor="benchmark")).id for _ in range(2)
        ]
        for scope, period in (("organization", "month"), ("agent", "day"), ("user", "month")):
            spec = BudgetSpec.model_validate({"name": scope, "scope": scope, "period": period, "amount_usd": "1000000"})
            await Budgets(engine).create(bound, spec, actor="benchmark")
    finally:
        await engine.dispose()
    async with AsyncExitStack() as stack:
        arms = [await stack.enter_async_context(_arm(database_url, each)) for each in (plain, bound)]
        for _ in range(WARM_UP):
            for arm in arms:
                await arm.call()
        for arm in arms:
            arm.start()
        for _ in range(ROUNDS):
            for arm in arms:
                await arm.call()
        return Added(*(arm.cost() for arm in arms))


class _Arm:
    """Calls of one organization, on a connection of its own."""

    def __init__(self, ledger: Ledger, organization_id: UUID, pid: int) -> None:
        self._ledger = ledger
        self._organization_id = organization_id
        self._pid = pid
        self._times: list[float] = []
        self._cpu_before = 0.0

    async def call(self) -> None:
        self._times.append(await _call(self._ledger, self._organization_id))

    def start(self) -> None:
        """Forget what was before."""
        self._times.clear()
        self._cpu_before = _cpu_ms(self._pid)

    def cost(self) -> Cost:
        return Cost(statistics.median(self._times), (_cpu_ms(self._pid) - self._cpu_before) / len(self._times))


@asynccontextmanager
async def _arm(database_url: str, organization_id: UUID) -> AsyncIterator[_Arm]:
    async with Statements(database_url, size=1, application_name="benchmark") as statements:
        pid = (await statements.one(statement("SELECT pg_backend_pid() AS pid"), {})).pid
        yield _Arm(Ledger(statements), organization_id, pid)


def _cpu_ms(pid: int) -> float:
    """Time on a core until now; to the nanosecond, where `/proc/PID/stat` counts hundredths of a second."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e6


async def _call(ledger: Ledger, organization_id: UUID) -> float:
    request = ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
    caller = Caller(organization_id=organization_id, agent_id="agent", user_id="user")
    identity = new_id()
    invocation = InvocationInput(
        invocation_id=identity,
        caller=caller,
        idempotency_key=str(identity),
        fingerprint=fingerprint(request, caller),
        request=request,
        model="m",
        accepted_at=time.time(),
    )
    decision = Decision(invocation_id=identity, verdict=Verdict.ALLOW, route=[_STEP], policy_version="benchmark")
    outcome = AttemptOutcome(
        number=1,
        step=_STEP,
        status=AttemptStatus.SUCCEEDED,
        usage=Usage(prompt_tokens=10, completion_tokens=5, total_tokens=15),
        usd_cost=_USD,
        price_source="catalog",
        started_at=datetime.now(UTC),
        provider_ms=1,
    )
    record = RecordInput(invocation=invocation, decision=decision, outcome=outcome, status=InvocationStatus.COMPLETED)
    result = InvocationResult(
        invocation_id=identity,
        organization_id=organization_id,
        trace_id=trace_id(identity),
        status=InvocationStatus.COMPLETED,
        verdict=Verdict.ALLOW,
        policy_version="benchmark",
    )
    opening, workflow = Opening(_STEP, 10, _USD, 2 * _USD), workflow_id(organization_id, str(identity))
    began = time.perf_counter()
    await ledger.clear(invocation, workflow, decision, None, opening)
    await ledger.finish(record, result, [], elapsed_ms=1, notify=False)
    return (time.perf_counter() - began) * 1000
