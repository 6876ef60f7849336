from __future__ import annotations

from uuid import uuid4

import grpc
import pytest
from temporalio.common import SearchAttributeKey

from customhouse.contracts.errors import ConfigurationError, NotReady
from customhouse.contracts.search_attributes import SEARCH_ATTRIBUTES
from customhouse.integrations.temporal_client import TlsFiles, connect, ensure_search_attributes
from tests.integrations.telemetry.collector import free_port
from tests.integrations.temporal_stub import Authority, temporal_stub


async def test_search_attributes_are_registered_once(temporal_address: str) -> None:
    client = await connect(temporal_address)
    assert await ensure_search_attributes(client, "default", SEARCH_ATTRIBUTES)
    new = SearchAttributeKey.for_keyword(f"Customhouse{uuid4().hex}")
    assert await ensure_search_attributes(client, "default", [*SEARCH_ATTRIBUTES, new])
    assert await ensure_search_attributes(client, "default", [*SEARCH_ATTRIBUTES, new])
    other = SearchAttributeKey.for_int(new.name)
    with pytest.raises(ConfigurationError, match=f"search attribute {new.name} with another type than INT"):
        await ensure_search_attributes(client, "default", [other])


async def test_nobody_there_is_not_ready_and_names_the_address() -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(
        NotReady, match=f"{address} cannot be reached: start it, or correct CUSTOMHOUSE_TEMPORAL_ADDRESS"
    ):
        await connect(address)


async def test_tls_to_a_server_without_is_not_ready(temporal_address: str) -> None:
    with pytest.raises(NotReady, match="the TLS settings"):
        await connect(temporal_address, tls=True)
    with pytest.raises(NotReady, match="the TLS settings"):
        await connect(temporal_address, api_key="a key is never sent in the clear")


async def test_an_unknown_namespace_is_a_configuration_error(temporal_address: str) -> None:
    with pytest.raises(ConfigurationError, match="no namespace 'nowhere': create it"):
        await connect(temporal_address, namespace="nowhere")


async def test_a_malformed_address_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="is not host:port"):
        await connect("no such address")


@pytest.mark.parametrize("files", [TlsFiles(cert=b"c"), TlsFiles(key=b"k")])
async def test_half_a_client_certificate_is_a_configuration_error(files: TlsFiles) -> None:
    with pytest.raises(ConfigurationError, match="belong together"):
        await connect("127.0.0.1:1", tls_files=files)


async def test_a_bad_certificate_is_told(temporal_address: str) -> None:
    with pytest.raises(NotReady, match="cannot be reached"):
        await connect(temporal_address, tls_files=TlsFiles(ca=b"no certificate"))


@pytest.mark.parametrize("status", [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED])
async def test_refused_credentials_are_a_configuration_error(status: grpc.StatusCode) -> None:
    with (
        temporal_stub({"DescribeNamespace": status}) as stub,
        pytest.raises(ConfigurationError, match="CUSTOMHOUSE_TEMPORAL_API_KEY or the client certificate"),
    ):
        await connect(stub.address)


async def test_a_server_in_trouble_is_not_ready() -> None:
    with (
        temporal_stub({"DescribeNamespace": grpc.StatusCode.UNAVAILABLE}) as stub,
        pytest.raises(NotReady, match="cannot serve"),
    ):
        await connect(stub.address)


async def test_an_api_key_goes_over_tls_with_a_client_certificate() -> None:
    authority = Authority()
    server, client = authority.issue("localhost"), authority.issue("client")
    with temporal_stub({}, tls=(server, authority.pem)) as stub:
        await connect(
            stub.address,
            api_key="k3y",
            tls_files=TlsFiles(cert=client.cert, key=client.key, ca=authority.pem),
        )
        assert stub.authorizations == {"Bearer k3y"}
        with pytest.raises(NotReady, match="cannot be reached"):
            await connect(stub.address, api_key="k3y", tls_files=TlsFiles(ca=authority.pem))


@pytest.mark.parametrize("method", ["ListSearchAttributes", "AddSearchAttributes"])
async def test_where_registering_is_not_allowed_one_warning_says_what_to_add(
    method: str, caplog: pytest.LogCaptureFixture
) -> None:
    with temporal_stub({method: grpc.StatusCode.PERMISSION_DENIED}) as stub:
        client = await connect(stub.address)
        assert not await ensure_search_attributes(client, "default", SEARCH_ATTRIBUTES)
    (record,) = caplog.records
    assert "CustomhouseCostUsd (DOUBLE)" in record.getMessage()


async def test_search_attributes_of_an_unknown_namespace_are_not_ready(temporal_address: str) -> None:
    client = await connect(temporal_address)
    with pytest.raises(NotReady, match="search attributes"):
        await ensure_search_attributes(client, "nowhere", SEARCH_ATTRIBUTES)
