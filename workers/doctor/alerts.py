"""Probe of the places that alerts are sent to. It sends nothing: `customhouse alerts test` does."""

from __future__ import annotations

from customhouse.contracts.errors import ConfigurationError
from customhouse.integrations.alerts import VARIABLE
from workers.alerting import places_of
from workers.doctor.finding import Finding, off, ok, wrong
from workers.settings import Settings

PART = "alerts"


def probe_alerts(settings: Settings) -> Finding:
    try:
        places = places_of(settings)
    except ConfigurationError as error:
        return wrong(PART, error.message)
    if places is None:
        return off(PART, f"{VARIABLE} is not set: alerts are only listed")
    places.close()
    named = ", ".join(f"{place.name} from {place.minimum}" for place in places.all)
    return ok(PART, f"{named}; `customhouse alerts test` tries them")
