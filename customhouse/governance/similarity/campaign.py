"""Campaigns: bursts of near-copies, from one user or from many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from customhouse.governance.similarity.recent import SeenPrompt


class CampaignRule(BaseModel):
    """When a burst of near-copies is one. An agent that fills in a template sends near-copies all day and means no
    harm, so most bursts are only counted; `is_suspicious` sets apart those that are worth an alert."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    window_s: Annotated[float, Field(gt=0)] = 600
    """Seconds that a burst may take."""
    from_one: Annotated[int, Field(ge=2)] = 20
    """Near-copies of one prompt from one user (or one agent, where no user is named), this one included."""
    from_many: Annotated[int, Field(ge=2)] = 10
    """Near-copies of one prompt from several users, this one included."""
    users: Annotated[int, Field(ge=2)] = 3
    """How many users are several."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """A burst, as it stands with the latest prompt."""

    copies: int
    users: int
    """Distinct ones; agents where no user is named."""
    blocked: int
    """Copies that were blocked."""
    is_suspicious: bool
    """Some of it was blocked, or it is near to known abuse."""


def campaign_of(
    latest: SeenPrompt, copies: Sequence[SeenPrompt], rule: CampaignRule, *, near_known_abuse: bool
) -> Campaign | None:
    """The campaign that `latest` belongs to, with the near-copies of it that came within the rule's window."""
    burst = [*copies, latest]
    senders = Counter(_sender(seen) for seen in burst)
    of_its_sender = senders[_sender(latest)]
    many = len(burst) >= rule.from_many and len(senders) >= rule.users
    if of_its_sender < rule.from_one and not many:
        return None
    blocked = sum(seen.blocked for seen in burst)
    return Campaign(
        copies=len(burst),
        users=len(senders),
        blocked=blocked,
        is_suspicious=blocked > 0 or near_known_abuse,
    )


def _sender(seen: SeenPrompt) -> tuple[str | None, str | None]:
    return (seen.user_id, None) if seen.user_id is not None else (None, seen.agent_id)
