"""Encryption of bytes that lie outside Temporal's history: contents handed over by claim check."""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag

from customhouse.contracts.errors import ConfigurationError, CustomhouseError
from customhouse.integrations.codec import NONCE_BYTES, Keys

_KEY_ID_BYTES = 16


class Sealer:
    """Seals with the first key and opens with any, as the codec does; without keys it leaves bytes as they are."""

    def __init__(self, keys: Keys | None) -> None:
        self._keys = keys

    @property
    def encrypts(self) -> bool:
        return self._keys is not None

    def seal(self, body: bytes) -> bytes:
        if self._keys is None:
            return body
        key, nonce = self._keys.primary, os.urandom(NONCE_BYTES)
        return key.id + nonce + key.aead.encrypt(nonce, body, key.aad)

    def open(self, body: bytes, *, encrypted: bool) -> bytes:
        """Raises ConfigurationError for a key that is not configured, CustomhouseError for altered bytes."""
        if not encrypted:
            return body
        key_id, rest = body[:_KEY_ID_BYTES], body[_KEY_ID_BYTES:]
        key = None if self._keys is None else self._keys.by_id.get(key_id)
        if key is None:
            raise ConfigurationError(
                f"A stored content is encrypted with key {key_id.decode(errors='replace')!r}, which is not configured: "
                "append it to CUSTOMHOUSE_ENCRYPTION_KEY, after a comma.",
                param="encryption_key",
            )
        try:
            return key.aead.decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], key.aad)
        except InvalidTag as error:
            raise CustomhouseError("A stored content was altered after it was written and cannot be opened.") from error
