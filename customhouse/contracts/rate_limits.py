"""Rate limits and blocks: what is limited, whom, and how much; who is kept out, and who alone is let in."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict

ANY: Final = "*"
"""A limit's subject where it holds for each one of its scope: each user, each address, and so on."""


class LimitScope(StrEnum):
    """Whose calls are counted together."""

    ORGANIZATION = "organization"
    USER = "user"
    AGENT = "agent"
    KEY = "key"
    IP = "ip"
    """One IPv4 address, or one IPv6 network of 64 bits: that is what one subscriber has."""


class LimitMetric(StrEnum):
    REQUESTS = "requests"
    TOKENS = "tokens"
    USD = "usd"


class LimitRule(BaseModel):
    """At most `amount` of a metric in any `window_s` seconds."""

    model_config = ConfigDict(frozen=True)

    scope: LimitScope
    subject: str = ANY
    """An id, which goes before `*`, or `*`."""
    metric: LimitMetric
    amount: Decimal
    """Requests, tokens or US dollars."""
    window_s: int


class BlockEffect(StrEnum):
    DENY = "deny"
    """Whoever matches is refused."""
    ALLOW = "allow"
    """Whoever matches is refused by no `deny`, and never blocked automatically."""
    ONLY = "only"
    """Whoever matches none of the `only` entries of their kind is refused."""


class BlockKind(StrEnum):
    IP = "ip"
    USER = "user"
    AGENT = "agent"
    KEY = "key"


class BlockRule(BaseModel):
    """One entry of an organization's block list."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    effect: BlockEffect
    kind: BlockKind
    subject: str
    """A network (`192.0.2.0/24`) or the id of a user, agent or key."""
    network: str | None = None
    """Users, agents and keys: only from there. Of the kind `ip` it is the subject."""
    reason: str
    expires_at: datetime | None = None
    """None: until it is taken away."""
    automatic: bool = False
    """Made by Customhouse itself, after repeated abuse."""
