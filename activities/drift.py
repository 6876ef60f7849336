"""The drift alarm: the abuse model's scores of the last day, organization by organization, beside the training's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from temporalio import activity

from activities.failures import database_step
from customhouse.contracts.alerts import AlertSink
from customhouse.contracts.housekeeping import DriftResult
from customhouse.contracts.timing import DRIFT_SPAN
from customhouse.governance.alerts.drift import drift_alert
from customhouse.storage.organizations import Organizations
from customhouse.storage.scores import AbuseScores


@dataclass(frozen=True, slots=True)
class Reference:
    """The training's scores, of one version of the model."""

    shares: Sequence[float]
    model_version: str


@dataclass(frozen=True, slots=True)
class DriftActivity:
    """Idempotent: an alert that was raised already is not raised again the same day."""

    organizations: Organizations
    scores: AbuseScores
    alerts: AlertSink
    reference: Reference | None
    """None where the model ships none: then nothing is compared."""

    @activity.defn(name="watch_drift")
    async def watch_drift(self) -> DriftResult:
        reference = self.reference
        if reference is None:
            return DriftResult(compared=0, alerts=0)
        compared = alerts = 0
        with database_step():
            organizations = await self.organizations.list_all()
        for organization in organizations:
            activity.heartbeat()
            with database_step():
                counts = await self.scores.histogram(organization.id, DRIFT_SPAN)
                compared += 1
                alert = drift_alert(organization.id, counts, reference.shares, reference.model_version)
                if alert is not None:
                    await self.alerts.raise_alert(alert)
                    alerts += 1
        return DriftResult(compared=compared, alerts=alerts)
