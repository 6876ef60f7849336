"""Ids: UUIDv7 (RFC 9562), so that rows made together lie together in every index."""

from __future__ import annotations

from uuid import UUID

from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """A fresh id; ids made by one process sort in the order in which they were made."""
    return uuid7()
