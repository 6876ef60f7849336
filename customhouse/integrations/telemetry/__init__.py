"""Traces and metrics by OpenTelemetry, exported by OTLP; nothing is global, and nothing is paid for while it is off.

The SDK and its exporters (0.4 s to import) are loaded only where a collector is configured.
"""

from customhouse.integrations.telemetry.probe import probe_collector
from customhouse.integrations.telemetry.provider_call import CallSpan, ProviderCallInfo
from customhouse.integrations.telemetry.settings import TelemetrySettings
from customhouse.integrations.telemetry.telemetry import Telemetry, build_telemetry

__all__ = ["CallSpan", "ProviderCallInfo", "Telemetry", "TelemetrySettings", "build_telemetry", "probe_collector"]
