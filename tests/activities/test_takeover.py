"""Attempts that are lost sight of, come too late, or meet an outage of Postgres behind the provider's answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from datetime import timedelta
from decimal import Decimal

import psycopg
import pytest
from aiohttp import web
from temporalio.activity import ActivityCancellationDetails
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.failures import DATABASE_AWAY, patiently
from customhouse.contracts.invocation import AttemptOutcome, AttemptStatus
from tests.activities.test_exactly_once import Steps, attempts
from tests.doubles.house import House, Tenant, until
from tests.doubles.provider import Call, ProviderDouble, Reply, failure, silence, whole

LANES = pytest.mark.parametrize("local", [True, False], ids=["local", "regular"])


@LANES
class TestACancel:
    async def started(
        self, tenant: Tenant, provider: ProviderDouble, details: ActivityCancellationDetails, local: bool
    ) -> tuple[Steps, Awaitable[AttemptOutcome]]:
        """A call under way, whose activity is then cancelled for the reason that `details` give."""
        provider.will(silence)
        steps = Steps(tenant, local=local)
        environment = ActivityEnvironment()
        environment.info = steps.info
        call = steps.call_input(await steps.clear())
        calling = asyncio.create_task(environment.run(steps.parts.call.call, call))
        await until(lambda: bool(provider.calls))
        environment.cancel(details)
        return steps, calling

    async def test_that_was_asked_for_ends_the_attempt(
        self, tenant: Tenant, provider: ProviderDouble, local: bool
    ) -> None:
        _, calling = await self.started(tenant, provider, ActivityCancellationDetails(cancel_requested=True), local)
        assert (await calling).status is AttemptStatus.CANCELLED

    @pytest.mark.parametrize("reason", ["not_found", "paused", "reset", "timed_out", "worker_shutdown"])
    async def test_that_nobody_asked_for_leaves_it_to_the_next_worker(
        self, tenant: Tenant, provider: ProviderDouble, local: bool, reason: str
    ) -> None:
        steps, calling = await self.started(tenant, provider, ActivityCancellationDetails(**{reason: True}), local)
        with pytest.raises(asyncio.CancelledError):
            await calling
        assert await attempts(tenant) == [(1, "started")]
        outcome = await steps.call(await steps.clear())
        assert outcome.status is AttemptStatus.SUCCEEDED
        assert await attempts(tenant) == [(1, "unknown"), (2, "succeeded")]


@LANES
async def test_nothing_is_called_after_the_deadline(tenant: Tenant, provider: ProviderDouble, local: bool) -> None:
    """A retry carries its first try's time-out, and Temporal may have held it back for long."""
    steps = Steps(tenant, local=local)
    call = steps.call_input(await steps.clear())
    late = call.invocation.model_copy(update={"accepted_at": time.time() - call.invocation.deadline_s})
    with pytest.raises(ApplicationError) as caught:
        await steps.environment.run(steps.parts.call.call, call.model_copy(update={"invocation": late}))
    assert (caught.value.type, caught.value.non_retryable) == ("deadline_passed", True)
    assert provider.calls == []
    (cost,) = await tenant.costs()
    assert (cost["attempt_status"], cost["usd_cost"]) == ("failed", Decimal(0))


def cutting_off_the_ledger(house: House, reply: Reply) -> Reply:
    """The reply, and with it all connections of the ledger break."""

    async def cut_off(request: web.Request, call: Call) -> web.StreamResponse:
        await house.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'customhouse-ledger'"
        )
        return await reply(request, call)

    return cut_off


class TestAnOutageBehindTheAnswer:
    @pytest.mark.parametrize("text", ["Short.", "x" * 200_000], ids=["short", "large"])
    async def test_settles_it_all_the_same(
        self, house: House, tenant: Tenant, provider: ProviderDouble, text: str
    ) -> None:
        provider.will(cutting_off_the_ledger(house, whole(text)))
        steps = Steps(tenant, local=False)
        outcome = await steps.call(await steps.clear())
        assert (outcome.status, outcome.settled) == (AttemptStatus.SUCCEEDED, True)
        assert await attempts(tenant) == [(1, "succeeded")]
        assert len(provider.calls) == 1

    @LANES
    async def test_does_not_hide_the_providers_failure(
        self, house: House, tenant: Tenant, provider: ProviderDouble, local: bool
    ) -> None:
        """Else it would be tried again as often as Postgres is away, and not as often as such a failure may be."""
        provider.will(cutting_off_the_ledger(house, failure(400, "no")))
        steps = Steps(tenant, local=local)
        with pytest.raises(ApplicationError) as caught:
            await steps.call(await steps.clear())
        assert caught.value.non_retryable
        assert await attempts(tenant) == [(1, "failed")]

    async def test_is_waited_out_for_a_while(self) -> None:
        tries = 0

        async def step() -> str:
            nonlocal tries
            tries += 1
            if tries < 3:
                raise psycopg.OperationalError("the connection is closed")
            return "done"

        assert await patiently(step) == "done"
        tries = 0
        with pytest.raises(ApplicationError) as caught:
            await patiently(step, patience=timedelta(0))
        assert (tries, caught.value.type) == (1, DATABASE_AWAY)
