"""Encryption of what Temporal's history holds: AES-256-GCM, several keys, and Temporal's codec endpoint.

Temporal's server and its database then see ids, times and step names only. Keys never leave this process: the Web UI
reads a history through the codec endpoint, which calls `decode_payloads`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.json_format import MessageToJson, ParseDict, ParseError
from google.protobuf.message import DecodeError
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.contrib.pydantic import PydanticPayloadConverter, ToJsonOptions, pydantic_data_converter
from temporalio.converter import DataConverter, DefaultFailureConverterWithEncodedAttributes, PayloadCodec

from customhouse.contracts.errors import ConfigurationError, CustomhouseError, UnprocessableField

KEY_BYTES = 32
"""AES-256."""

NONCE_BYTES = 12
"""The nonce that GCM is made for. Random nonces are safe for 2^32 messages a key (NIST SP 800-38D, 8.3): some hundred
million invocations, then a new key has to be put first."""

ENCODING = b"binary/encrypted"
"""The value that Temporal's own encryption samples use, so that its tools know such payloads."""

_CIPHER = b"AES-256-GCM"
_AAD = b"customhouse/payload/1/"
"""Bound to each ciphertext together with the key's id: one made for another purpose or key is never accepted."""

_ENCODING_FIELD, _CIPHER_FIELD, _KEY_FIELD = "encoding", "encryption-cipher", "encryption-key-id"

_MAKE_A_KEY = "make one with: openssl rand -base64 32"


@dataclass(frozen=True, slots=True)
class Key:
    """One AES-256 key, ready for use. Its id is derived from it, so that a key has the same name in every process."""

    id: bytes
    aead: AESGCM = field(repr=False)
    aad: bytes = field(repr=False)

    @classmethod
    def from_bytes(cls, secret: bytes) -> Key:
        # 64 bits of a hash: too few to help guess the key, enough to tell keys apart.
        key_id = hashlib.sha256(b"customhouse/key-id/1/" + secret).hexdigest()[:16].encode()
        return cls(id=key_id, aead=AESGCM(secret), aad=_AAD + key_id)


@dataclass(frozen=True, slots=True)
class Keys:
    """The first key encrypts, all decrypt: to rotate, put a new one first and keep the old ones behind it."""

    primary: Key
    by_id: dict[bytes, Key]


def parse_keys(text: str) -> Keys:
    """Read base64 keys of 32 bytes, comma-separated. Raises ConfigurationError; its message never shows a key."""
    keys: list[Key] = []
    for position, part in enumerate(text.split(","), start=1):
        try:
            # Keys are pasted from many tools: URL-safe and unpadded base64 are taken too.
            encoded = part.strip().rstrip("=").translate(str.maketrans("-_", "+/"))
            secret = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
        except (binascii.Error, ValueError) as error:
            raise ConfigurationError(
                f"encryption key {position} is not base64: give 32 bytes in base64; {_MAKE_A_KEY}",
                param="encryption_key",
            ) from error
        if len(secret) != KEY_BYTES:
            raise ConfigurationError(
                f"encryption key {position} has {len(secret)} bytes, but AES-256 needs {KEY_BYTES}; {_MAKE_A_KEY}",
                param="encryption_key",
            )
        keys.append(Key.from_bytes(secret))
    return Keys(primary=keys[0], by_id={key.id: key for key in keys})


class EncryptionCodec(PayloadCodec):
    """Encrypts payloads whole, metadata included. Payloads in the clear pass `decode` unchanged.

    They have to: histories begun before a key was set must go on, and headers (trace context) are never encoded.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._encrypt(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Raises ConfigurationError for a key that is not configured, CustomhouseError for an altered payload."""
        return [self._decrypt(payload) for payload in payloads]

    def _encrypt(self, payload: Payload) -> Payload:
        key = self._keys.primary
        nonce = os.urandom(NONCE_BYTES)
        return Payload(
            metadata={_ENCODING_FIELD: ENCODING, _CIPHER_FIELD: _CIPHER, _KEY_FIELD: key.id},
            data=nonce + key.aead.encrypt(nonce, payload.SerializeToString(), key.aad),
        )

    def _decrypt(self, payload: Payload) -> Payload:
        metadata = payload.metadata
        if metadata.get(_ENCODING_FIELD) != ENCODING:
            return payload
        key_id = metadata.get(_KEY_FIELD, b"")
        key = self._keys.by_id.get(key_id)
        if key is None:
            have = ", ".join(known.decode() for known in self._keys.by_id)
            raise ConfigurationError(
                f"a payload is encrypted with key {key_id.decode(errors='replace')!r}, and only {have} are configured: "
                "append the former key to CUSTOMHOUSE_ENCRYPTION_KEY, after a comma",
                param="encryption_key",
            )
        data = payload.data
        try:
            return Payload.FromString(key.aead.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], key.aad))
        except (InvalidTag, ValueError, DecodeError) as error:
            raise CustomhouseError(
                f"a payload encrypted with key {key_id.decode()!r} cannot be decrypted: it was cut or altered after it "
                "was written. Restore Temporal's database from a backup, or terminate the workflow"
            ) from error


class SharedPydanticConverter(PydanticPayloadConverter):
    """The SDK's converter, made once: the SDK asks for a new one several times an activation.

    Each would come with an empty cache of pydantic's type adapters, and filling it costs more than converting.
    """

    _shared: ClassVar[Self | None] = None

    def __new__(cls) -> Self:
        if cls._shared is None:
            cls._shared = super().__new__(cls)
        return cls._shared

    def __init__(self) -> None:
        if not self.__dict__:
            # What nobody set says nothing: leaving it out makes history a third smaller.
            super().__init__(ToJsonOptions(exclude_unset=True))


def data_converter(keys: Keys | None) -> DataConverter:
    """Pydantic models as JSON; with keys, encrypted, and so are the messages and stack traces of failures."""
    converter = replace(pydantic_data_converter, payload_converter_class=SharedPydanticConverter)
    if keys is None:
        return converter
    return replace(
        converter,
        payload_codec=EncryptionCodec(keys),
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )


async def decode_payloads(body: bytes, codec: PayloadCodec) -> bytes:
    """`POST …/decode` of Temporal's remote codec protocol: `{"payloads": […]}` in protobuf's JSON, both ways.

    Raises UnprocessableField for a body that is not of this form or holds what the codec cannot decode.
    """
    return await _transform(body, codec.decode)


async def encode_payloads(body: bytes, codec: PayloadCodec) -> bytes:
    """`POST …/encode` of the same protocol; the Web UI uses it for what an operator types (signals, Updates)."""
    return await _transform(body, codec.encode)


async def _transform(body: bytes, step: Callable[[Sequence[Payload]], Awaitable[list[Payload]]]) -> bytes:
    try:
        parsed = orjson.loads(body)
        if not isinstance(parsed, dict):
            raise ParseError("not an object")
        # Newer servers may send fields that this protobuf version does not know.
        payloads = ParseDict(parsed, Payloads(), ignore_unknown_fields=True)
    except (orjson.JSONDecodeError, ParseError) as error:
        raise UnprocessableField(
            'the body is not {"payloads": […]} in protobuf JSON: send it as Temporal\'s codec protocol has it',
            param="payloads",
        ) from error
    try:
        transformed = await step(payloads.payloads)
    except CustomhouseError as error:
        raise UnprocessableField(error.message, param="payloads") from error
    return MessageToJson(Payloads(payloads=transformed), indent=None).encode()
