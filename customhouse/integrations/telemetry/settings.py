"""What telemetry needs to know, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from customhouse.contracts.errors import ConfigurationError

Protocol = Literal["grpc", "http"]


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """Where telemetry goes, and who says it. Raises ConfigurationError for an endpoint that no exporter can use."""

    endpoint: str | None
    """The collector's base URL, such as `http://127.0.0.1:4317`; None turns telemetry off."""
    service_version: str
    instance_id: str
    """Unique to this process."""
    protocol: Protocol = "grpc"
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    """Sent with each export: access tokens, mostly."""
    service_name: str = "customhouse"
    environment: str | None = None
    """Such as `production`."""

    def __post_init__(self) -> None:
        if self.endpoint is None:
            return
        url = urlsplit(self.endpoint)
        if url.scheme not in ("http", "https") or not url.netloc:
            # The gRPC exporter would take `host:4317` for TLS and fail with a handshake error that nobody understands.
            raise ConfigurationError(
                f"the OTLP endpoint {self.endpoint!r} is no http:// or https:// URL: set CUSTOMHOUSE_OTLP_ENDPOINT, "
                "such as http://127.0.0.1:4317 (gRPC) or http://127.0.0.1:4318 (HTTP)",
                param="otlp_endpoint",
            )
