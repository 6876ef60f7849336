"""The connection to Temporal: the embedded dev server, a cluster of one's own, or Temporal Cloud."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client, Interceptor
from temporalio.common import SearchAttributeKey
from temporalio.runtime import LogForwardingConfig, LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter
from temporalio.service import RPCError, RPCStatusCode, TLSConfig

from customhouse.contracts.errors import ConfigurationError, NotReady
from customhouse.integrations.codec import Keys, data_converter

_log = logging.getLogger(__name__)

CONNECT_PATIENCE = timedelta(seconds=15)
"""For address lookup, TCP, TLS and the first two requests, of which the SDK bounds none by itself."""

RPC_TIMEOUT = timedelta(seconds=10)

_REFUSED = (RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.PERMISSION_DENIED)
_NOT_ALLOWED = (*_REFUSED, RPCStatusCode.UNIMPLEMENTED)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM texts: a client certificate with its key (mTLS), and a private CA. All None: the system's CAs, no mTLS."""

    cert: bytes | None = None
    key: bytes | None = field(default=None, repr=False)
    ca: bytes | None = None


def build_runtime() -> Runtime:
    """The SDK's Rust core, one a process, with its warnings sent to the logger `temporalio.core` instead of stderr."""
    return Runtime(
        telemetry=TelemetryConfig(
            logging=LoggingConfig(
                filter=TelemetryFilter(core_level="WARN", other_level="ERROR"),
                forwarding=LogForwardingConfig(
                    logger=logging.getLogger("temporalio.core"),
                    append_target_to_name=False,
                    prepend_target_on_message=False,
                ),
            )
        )
    )


async def connect(
    address: str,
    *,
    namespace: str = "default",
    tls: bool = False,
    tls_files: TlsFiles | None = None,
    api_key: str | None = None,
    keys: Keys | None = None,
    interceptors: Sequence[Interceptor] = (),
    runtime: Runtime | None = None,
) -> Client:
    """Connect and make sure that the namespace is there. An API key or a TLS file turns TLS on by itself.

    Raises NotReady where the server does not answer (it may be starting), ConfigurationError where waiting is in vain.
    """
    try:
        async with asyncio.timeout(CONNECT_PATIENCE.total_seconds()):
            client = await Client.connect(
                address,
                namespace=namespace,
                tls=_tls(tls, tls_files or TlsFiles(), api_key),
                api_key=api_key,
                data_converter=data_converter(keys),
                interceptors=interceptors,
                runtime=runtime,
            )
            await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=namespace))
    except TimeoutError as error:
        raise NotReady(
            f"Temporal at {address} did not answer within {CONNECT_PATIENCE.total_seconds():.0f} s: {_MEND}"
        ) from error
    except ValueError as error:
        raise ConfigurationError(
            f"the Temporal address {address!r} is not host:port ({error}): set CUSTOMHOUSE_TEMPORAL_ADDRESS, such as "
            "localhost:7233",
            param="temporal_address",
        ) from error
    except RPCError as error:
        raise _refusal(error, address, namespace) from error
    except RuntimeError as error:
        # What the SDK's core raises for everything between the name lookup and the TLS handshake.
        raise NotReady(f"Temporal at {address} cannot be reached: {_MEND} ({error})") from error
    return client


_MEND = "start it, or correct CUSTOMHOUSE_TEMPORAL_ADDRESS and the TLS settings"


def _tls(tls: bool, files: TlsFiles, api_key: str | None) -> bool | TLSConfig:
    if (files.cert is None) != (files.key is None):
        raise ConfigurationError(
            "a TLS client certificate and its private key belong together: set both CUSTOMHOUSE_TEMPORAL_TLS_CERT and "
            "CUSTOMHOUSE_TEMPORAL_TLS_KEY, or neither",
            param="temporal_tls_cert",
        )
    if files.cert is not None or files.ca is not None:
        return TLSConfig(server_root_ca_cert=files.ca, client_cert=files.cert, client_private_key=files.key)
    # An API key must not travel in the clear.
    return tls or api_key is not None


def _refusal(error: RPCError, address: str, namespace: str) -> ConfigurationError | NotReady:
    if error.status is RPCStatusCode.NOT_FOUND:
        return ConfigurationError(
            f"Temporal at {address} has no namespace {namespace!r}: create it (temporal operator namespace create "
            f"--namespace {namespace}) or correct CUSTOMHOUSE_TEMPORAL_NAMESPACE",
            param="temporal_namespace",
        )
    if error.status in _REFUSED:
        return ConfigurationError(
            f"Temporal at {address} refuses the credentials for namespace {namespace!r} ({error.message}): check "
            "CUSTOMHOUSE_TEMPORAL_API_KEY or the client certificate, and CUSTOMHOUSE_TEMPORAL_NAMESPACE (on Temporal "
            "Cloud it ends with the account's id)",
            param="temporal_api_key",
        )
    return NotReady(f"Temporal at {address} answers, but cannot serve ({error.status.name}: {error.message}); retry")


async def ensure_search_attributes(
    client: Client, namespace: str, attributes: Sequence[SearchAttributeKey[Any]]
) -> bool:
    """Register those that are missing; True when all are there.

    Where this is not allowed (Temporal Cloud has it in its own console), one warning says what to add, and False comes
    back. Raises ConfigurationError where one is there with another type, NotReady where the server does not answer.
    """
    service = client.operator_service
    try:
        present = await service.list_search_attributes(
            ListSearchAttributesRequest(namespace=namespace), retry=True, timeout=RPC_TIMEOUT
        )
        missing = _missing(attributes, {**present.system_attributes, **present.custom_attributes}, namespace)
        if missing:
            await service.add_search_attributes(
                AddSearchAttributesRequest(namespace=namespace, search_attributes=missing),
                retry=True,
                timeout=RPC_TIMEOUT,
            )
    except RPCError as error:
        if error.status is RPCStatusCode.ALREADY_EXISTS:
            return True  # another process was faster
        if error.status not in _NOT_ALLOWED:
            raise NotReady(f"Temporal does not tell or take its search attributes ({error.message}); retry") from error
        _log.warning(
            "search attributes cannot be registered with these credentials; see that namespace %s has: %s",
            namespace,
            ", ".join(f"{key.name} ({key.indexed_value_type.name})" for key in attributes),
        )
        return False
    return True


def _missing(
    attributes: Sequence[SearchAttributeKey[Any]], known: dict[str, IndexedValueType.ValueType], namespace: str
) -> dict[str, IndexedValueType.ValueType]:
    missing: dict[str, IndexedValueType.ValueType] = {}
    for key in attributes:
        kind = IndexedValueType.ValueType(key.indexed_value_type.value)
        if key.name not in known:
            missing[key.name] = kind
        elif known[key.name] != kind:
            raise ConfigurationError(
                f"Temporal's namespace {namespace!r} has the search attribute {key.name} with another type than "
                f"{key.indexed_value_type.name}: remove it (temporal operator search-attribute remove) and restart"
            )
    return missing
