"""A gRPC server with the few of Temporal's methods that a client needs to connect, and its refusals; TLS if wanted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from google.protobuf.message import Message
from temporalio.api.operatorservice import v1 as operator
from temporalio.api.workflowservice import v1 as service


@dataclass(frozen=True)
class Issued:
    cert: bytes
    key: bytes


class Authority:
    """A certificate authority of one test."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("test authority")
        self.pem = self._sign(self._name, self._key, authority=True)

    def issue(self, host: str) -> Issued:
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Issued(self._sign(_name(host), key, host=host), pem)

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, authority: bool = False, host: str = "authority"
    ) -> bytes:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .sign(self._key, hashes.SHA256())
            .public_bytes(Encoding.PEM)
        )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


@dataclass
class Stub:
    address: str
    authorizations: set[str] = field(default_factory=set)


@contextmanager
def temporal_stub(refusals: Mapping[str, grpc.StatusCode], tls: tuple[Issued, bytes] | None = None) -> Iterator[Stub]:
    """`refusals`: the status that a method answers with. `tls`: server certificate, and the CA of clients' (mTLS)."""
    stub = Stub("")

    def method(name: str, request: type[Message], response: Message) -> Any:
        def answer(_: Message, context: Any) -> Message:
            stub.authorizations.update(str(v) for k, v in context.invocation_metadata() if k == "authorization")
            if name in refusals:
                context.abort(refusals[name], "refused by the test")
            return response

        return grpc.unary_unary_rpc_method_handler(answer, request.FromString, type(response).SerializeToString)

    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    server.add_generic_rpc_handlers(
        [
            grpc.method_handlers_generic_handler(
                "temporal.api.workflowservice.v1.WorkflowService",
                {
                    "GetSystemInfo": method(
                        "GetSystemInfo", service.GetSystemInfoRequest, service.GetSystemInfoResponse()
                    ),
                    "DescribeNamespace": method(
                        "DescribeNamespace", service.DescribeNamespaceRequest, service.DescribeNamespaceResponse()
                    ),
                },
            ),
            grpc.method_handlers_generic_handler(
                "temporal.api.operatorservice.v1.OperatorService",
                {
                    "ListSearchAttributes": method(
                        "ListSearchAttributes",
                        operator.ListSearchAttributesRequest,
                        operator.ListSearchAttributesResponse(),
                    ),
                    "AddSearchAttributes": method(
                        "AddSearchAttributes",
                        operator.AddSearchAttributesRequest,
                        operator.AddSearchAttributesResponse(),
                    ),
                },
            ),
        ]
    )
    if tls is None:
        stub.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    else:
        own, authority = tls
        credentials = grpc.ssl_server_credentials(
            [(own.key, own.cert)], root_certificates=authority, require_client_auth=True
        )
        stub.address = f"localhost:{server.add_secure_port('127.0.0.1:0', credentials)}"
    server.start()
    try:
        yield stub
    finally:
        server.stop(0).wait()
