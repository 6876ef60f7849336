"""Every setting of the product: one class, read once from the environment by a composition root.

The descriptions are the reference: docs/settings.md is made from them, and an error quotes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from customhouse.contracts.errors import ConfigurationError
from customhouse.governance.limits.networks import Network, parse_network

PREFIX = "CUSTOMHOUSE_"

Port = Annotated[int, Field(ge=1, le=65535)]
Secret = Annotated[SecretStr, Field(min_length=1)]
Action = Literal["allow", "redact", "block"]


class Settings(BaseSettings):
    """Environment variables, each with the prefix `CUSTOMHOUSE_`. An empty variable counts as unset."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True, validate_default=False
    )

    host: str = Field("127.0.0.1", description="Address that the API listens on. `0.0.0.0` opens it to the network.")
    port: Port = Field(8080, description="Port of the API, 1 to 65535.")
    data_dir: Path = Field(
        Path(".customhouse"), description="Folder in which `customhouse up` keeps databases, logs and its own key."
    )
    admin_key: Secret | None = Field(
        None,
        description="API key of the first organization's admin: visible ASCII characters, no spaces. "
        "`customhouse up` makes one, and keeps it in the data folder, if this is not set.",
    )
    organization: str = Field(
        "default",
        min_length=1,
        max_length=128,
        description="Name of the first organization, the admin key's.",
    )
    catalog: Path | None = Field(
        None, description="Path of the catalog of providers and deployments (YAML). Default: the catalog that ships."
    )

    database_url: Secret | None = Field(
        None, description="Postgres with pgvector: `postgresql://user:password@host:5432/name`. `up` brings its own."
    )
    temporal_address: Annotated[str, Field(pattern=r"^[^\s/:]+:\d{1,5}$|^\[[0-9a-fA-F:]+\]:\d{1,5}$")] | None = Field(
        None, description="Temporal's frontend, `host:port`. `up` brings its own."
    )
    temporal_namespace: str = Field("default", min_length=1, description="Temporal namespace.")
    temporal_tls: bool = Field(
        default=False, description="Speak TLS to Temporal (true or false). Implied by an API key."
    )
    temporal_tls_cert: Path | None = Field(None, description="Path of the client certificate (PEM) for mutual TLS.")
    temporal_tls_key: Path | None = Field(None, description="Path of the client certificate's private key (PEM).")
    temporal_tls_ca: Path | None = Field(
        None,
        description="Path of the authority (PEM) that signed Temporal's certificate. Default: the system's.",
    )
    temporal_api_key: Secret | None = Field(None, description="API key of Temporal Cloud.")
    temporal_ui_url: str | None = Field(
        None, pattern=r"^https?://\S+$", description="Address of the Temporal Web UI, to link to: `http://host:port`."
    )
    task_queue: str = Field("customhouse", min_length=1, description="Temporal task queue of the invocation workers.")
    sandbox: bool = Field(
        default=False,
        description="Run workflows in Temporal's sandbox (true or false): finds indeterminism, costs 15 ms.",
    )
    encryption_key: Secret | None = Field(
        None,
        description="Encrypts content in Temporal's history and in stored contents: 32 bytes in base64. Several, "
        "separated by commas, rotate: the first encrypts, all decrypt.",
    )

    otlp_endpoint: str | None = Field(
        None,
        pattern=r"^https?://\S+$",
        description="OpenTelemetry collector, such as `http://127.0.0.1:4317`. Unset: no telemetry leaves.",
    )
    otlp_protocol: Literal["grpc", "http"] = Field("grpc", description="OTLP over `grpc` (port 4317) or `http` (4318).")
    otlp_headers: Secret | None = Field(
        None, description="Headers for the collector, `name=value`, several separated by commas."
    )
    environment: str = Field(
        "development", min_length=1, description="Name of this deployment in telemetry (`deployment.environment.name`)."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe log records to write: debug, info, warning or error."
    )
    log_format: Literal["json", "console"] = Field("json", description="`json`, or `console` for people.")

    alert_urls: Secret | None = Field(
        None,
        description="Where alerts are sent: apprise URLs, several separated by commas, each with a severity of its own "
        "in front if wanted: `high=slack://…`. Unset: they are only listed.",
    )
    alert_min_severity: Literal["info", "low", "medium", "high", "critical"] = Field(
        "medium", description="Least severe alerts to send: info, low, medium, high or critical."
    )

    max_body_mb: float = Field(
        20, gt=0, le=1024, description="Largest request body in megabytes (10^6 bytes), up to 1024. Larger: 413."
    )
    max_prompt_chars: int = Field(
        1_000_000, ge=1, description="Longest prompt in characters, all messages together. Longer: blocked."
    )
    similarity_retention_days: int = Field(
        90,
        ge=1,
        le=3650,
        description="How long prompts are kept as vectors, in days, to compare new ones with.",
    )
    pii_action: Action = Field("redact", description="What personal data in a text leads to: allow, redact or block.")
    similarity_deadline_ms: float = Field(
        50,
        gt=0,
        le=10_000,
        description="How long a call waits for Postgres to find similar prompts, in milliseconds up to 10000. What is "
        "late is left out, and an event says so.",
    )
    pii_restore: bool = Field(
        default=False,
        description="Put personal data that was redacted in a request back into its answer (true or false). Needs the "
        "encryption key.",
    )
    abuse_threshold: float = Field(
        0.9,
        gt=0,
        le=1,
        description="Probability from which a prompt counts as abuse and is blocked, over 0 up to 1.",
    )
    abuse_when: Literal["before", "alongside"] = Field(
        "alongside",
        description="When the thorough look for abuse is taken: `before` the provider is called, or `alongside` the "
        "call, whose answer is then held until the verdict.",
    )
    disabled_checks: str = Field(
        "", description="Names of checks that are switched off, separated by commas; `*`: all but the length's."
    )
    secrets_action: Action = Field("block", description="What a secret in a text leads to: allow, redact or block.")
    guardrails: Path | None = Field(
        None, description="Path of the rules for GuardrailsAI's validators (YAML). Unset: none are used."
    )

    valkey_url: Secret | None = Field(
        None,
        description="Valkey in which several processes count rate limits together: `valkey://:password@host:6379/0`, "
        "`valkeys://` for TLS. Unset: each process counts alone.",
    )
    rate_limits_when_away: Literal["open", "closed"] = Field(
        "open",
        description="While Valkey does not answer: `open` lets each process count alone, `closed` refuses calls that "
        "have limits (503).",
    )
    trusted_proxies: str | None = Field(
        None,
        description="Addresses and CIDRs, separated by commas, of the proxies whose `X-Forwarded-For` is believed. "
        "Unset: none.",
    )
    auto_block_after: int = Field(
        10,
        ge=0,
        le=1000,
        description="So many prompts of one user blocked as abuse, from one address, block that user there. 0: never.",
    )
    auto_block_window_minutes: float = Field(
        10, gt=0, le=1440, description="Within so many minutes, up to 1440, for the former."
    )
    auto_block_minutes: float = Field(
        60, gt=0, le=525_600, description="How long such a block lasts, in minutes, up to 525600."
    )

    model_enabled: bool = Field(default=True, description="Let `up` start the local model (true or false).")
    model_port: Port | None = Field(None, description="Port of the local model. Default: a free one, kept.")
    temporal_port: Port | None = Field(None, description="Port of the embedded Temporal. Default: a free one, kept.")
    temporal_ui_port: Port | None = Field(
        None, description="Port of the embedded Temporal's Web UI. Default: a free one, kept."
    )

    @field_validator("admin_key")
    @classmethod
    def _fits_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not all("!" <= character <= "~" for character in value.get_secret_value()):
            raise ValueError("holds characters that an HTTP header cannot carry")
        return value

    @field_validator("database_url")
    @classmethod
    def _is_postgres(cls, value: SecretStr | None) -> SecretStr | None:
        schemes = ("postgres://", "postgresql://", "postgresql+psycopg://")
        if value is not None and not value.get_secret_value().startswith(schemes):
            raise ValueError("is not a Postgres URL")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: str | None) -> str | None:
        if value is not None:
            parse_networks(value)
        return value

    @field_validator("valkey_url")
    @classmethod
    def _is_valkey(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("valkey://", "valkeys://", "valkey+")):
            raise ValueError("is not a Valkey URL")
        return value

    @field_validator("otlp_headers")
    @classmethod
    def _are_pairs(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse_headers(value.get_secret_value())
        return value

    @property
    def otlp_header_map(self) -> dict[str, str]:
        return parse_headers(self.otlp_headers.get_secret_value()) if self.otlp_headers else {}

    @property
    def max_body_bytes(self) -> int:
        return int(self.max_body_mb * 1_000_000)


def parse_networks(text: str) -> list[Network]:
    """`address,network`. ValueError, naming it, for a part that is neither."""
    return [parse_network(part) for part in (part.strip() for part in text.split(",")) if part]


def parse_headers(text: str) -> dict[str, str]:
    """`name=value,name=value`, as OTEL_EXPORTER_OTLP_HEADERS has it. ValueError if a part has no name or no `=`."""
    headers = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise ValueError("is not a list of name=value")
        headers[name.strip()] = value.strip()
    return headers


def load_settings(**overrides: Any) -> Settings:
    """Read the environment; `overrides` win (the command line).

    Raises ConfigurationError with one line for each bad value: the variable, what is wrong, what it wants.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = dict.fromkeys(_explain(detail) for detail in error.errors(include_url=False))
        raise ConfigurationError("\n".join(lines)) from None  # the cause would print values, secrets among them


def variable(field: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + field.upper()


def unknown_variables(environ: Mapping[str, str], known: Iterable[str] = ()) -> dict[str, str | None]:
    """Variables with our prefix that are no setting, each with the setting that was perhaps meant.

    `known`: further names that are right, such as API key variables that the catalog names.
    """
    names = {variable(field) for field in Settings.model_fields}
    unknown = [name for name in environ if name.startswith(PREFIX) and name not in names and name not in set(known)]
    return {name: next(iter(get_close_matches(name, names, n=1, cutoff=0.8)), None) for name in sorted(unknown)}


def _explain(detail: ErrorDetails) -> str:
    field = str(detail["loc"][0])
    info = Settings.model_fields[field]
    given = "" if "SecretStr" in str(info.annotation) else f"={detail['input']}"
    if detail["type"] == "string_pattern_mismatch":  # a pattern tells a reader less than the description does
        message = "has the wrong form"
    else:
        message = detail["msg"].removeprefix("Value error, ")
    return f"{variable(field)}{given}: {message[0].lower()}{message[1:]}. Wanted: {info.description}"
