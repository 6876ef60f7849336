"""What makes two alerts the same."""

from __future__ import annotations

from hashlib import blake2b
from uuid import UUID

LONGEST = 500
"""Characters; as long as `Alert.dedup_key` may be."""

_LONGEST_PART = 120

_SUBJECT = 300


def dedup_key(*parts: str | UUID | None) -> str:
    """The parts joined by colons, such as `abuse:user-17:jailbreak`; None is nobody.

    Long parts are shortened to a hash, and a colon within a part is escaped: different parts make different keys.
    """
    key = ":".join(_part(part) for part in parts)
    return key if len(key) <= LONGEST else _hash(key)


def subject(kind: str, name: str | UUID) -> str:
    """Whom an alert is about, such as `user:user-17`."""
    return f"{kind}:{name}"[:_SUBJECT]


def _part(part: str | UUID | None) -> str:
    if part is None:
        return "-"
    text = str(part).replace("%", "%25").replace(":", "%3A")
    if text == "-":
        return "%2D"
    return text if len(text) <= _LONGEST_PART else _hash(text)


def _hash(text: str) -> str:
    return "%" + blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
