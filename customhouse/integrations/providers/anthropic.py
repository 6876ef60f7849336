"""Anthropic's Messages API behind OpenAI's shape."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import httpx

from customhouse.contracts.catalog import Provider
from customhouse.contracts.chat import ChatCompletion, Json
from customhouse.integrations.providers.answer import AnswerBuilder
from customhouse.integrations.providers.anthropic_answer import completion
from customhouse.integrations.providers.anthropic_request import messages_request
from customhouse.integrations.providers.anthropic_stream import ChunkTranslator
from customhouse.integrations.providers.base import Completed, Delta, ProviderCall, ProviderEvent
from customhouse.integrations.providers.exchange import Endpoint, Exchange
from customhouse.integrations.providers.failures import Breakage

API_VERSION = "2023-06-01"
"""The only version of the Messages API; the official SDK sends the same."""

_MALFORMED = Breakage("malformed_answer", "sent an answer that is not in the format of the Messages API")

_SHAPE_ERRORS = (KeyError, TypeError, AttributeError, ValueError)
"""What reading a well-formed JSON object of another shape than promised raises."""


class AnthropicProvider:
    """Translates each request, answer and stream event; `anthropic_request` says what has no counterpart."""

    def __init__(self, provider: Provider, api_key: str | None, client: httpx.AsyncClient) -> None:
        headers = {"anthropic-version": API_VERSION, **({"x-api-key": api_key} if api_key else {})}
        # Unlike OpenAI's, the customary base URL ends before the version; one that has it works as well.
        path = "/messages" if str(provider.base_url).rstrip("/").endswith("/v1") else "/v1/messages"
        self._endpoint = Endpoint(provider, path, headers, api_key, client)

    async def call(self, call: ProviderCall) -> AsyncGenerator[ProviderEvent, None]:
        body = messages_request(call.request, call.deployment, stream=call.stream)
        builder = AnswerBuilder()
        async with self._endpoint.open(call, body) as exchange:
            if call.stream:
                async with aclosing(_chunks(exchange)) as chunks:
                    async for chunk in chunks:
                        builder.add(chunk)
                        yield Delta(chunk)
                if builder.lacking:
                    raise exchange.broken(Breakage("broken_stream", f"ended its stream without {builder.lacking}"))
                await exchange.finish()
                answer = builder.build()
            else:
                answer = _whole(await exchange.json(), exchange)
        yield Completed(answer)


async def _chunks(exchange: Exchange) -> AsyncGenerator[Json, None]:
    translator = ChunkTranslator()
    async with aclosing(exchange.events()) as events:
        async for event in events:
            message = exchange.parse(event.data)
            if message.get("type") == "error":
                raise exchange.refused(message.get("error"))
            try:
                chunks = translator.translate(message)
            except _SHAPE_ERRORS:
                raise exchange.broken(_MALFORMED) from None  # its text may quote the answer
            for chunk in chunks:
                yield chunk
            if message.get("type") == "message_stop":
                return
    raise exchange.broken(Breakage("broken_stream", "ended its stream without message_stop"))


def _whole(message: Json, exchange: Exchange) -> ChatCompletion:
    if message.get("type") == "error":
        raise exchange.refused(message.get("error"))
    try:
        return completion(message)
    except _SHAPE_ERRORS:
        raise exchange.broken(_MALFORMED) from None  # its text may quote the answer
