"""The one seam to a model provider: one method, for whole and for streamed answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from customhouse.contracts.catalog import Deployment
from customhouse.contracts.chat import ChatCompletion, ChatRequest, Json


@dataclass(frozen=True, slots=True)
class ProviderCall:
    """One attempt: what to ask, of which deployment, and how long it may take."""

    deployment: Deployment
    request: ChatRequest
    stream: bool
    timeout_s: float
    """Seconds from the first byte sent to the last byte read."""


@dataclass(frozen=True, slots=True)
class Delta:
    """One `chat.completion.chunk`, in OpenAI's shape. Only in streamed calls."""

    chunk: Json


@dataclass(frozen=True, slots=True)
class Completed:
    """The whole answer: always the last event, and the only one of a call that is not streamed."""

    answer: ChatCompletion
    """`answer.usage` is None where the provider counted nothing."""


ProviderEvent = Delta | Completed


class ChatProvider(Protocol):
    """A provider's API behind the one shape that Customhouse speaks (OpenAI's)."""

    def call(self, call: ProviderCall) -> AsyncIterator[ProviderEvent]:
        """Yield `Delta`s (if streamed) and then one `Completed`.

        Raises `ProviderError` for everything that can go wrong, before or amid the stream; cancelling the consumer
        closes the connection to the provider at once. Retries nothing: that is the workflow's work.
        """
        ...
