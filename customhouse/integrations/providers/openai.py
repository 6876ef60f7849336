"""Any endpoint that speaks OpenAI's chat completions API."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing

import httpx
from pydantic import ValidationError

from customhouse.contracts.catalog import Provider
from customhouse.contracts.chat import ChatCompletion, Json
from customhouse.integrations.providers.answer import AnswerBuilder, usage_of
from customhouse.integrations.providers.base import Completed, Delta, ProviderCall, ProviderEvent
from customhouse.integrations.providers.exchange import Endpoint, Exchange
from customhouse.integrations.providers.failures import Breakage


class OpenAIProvider:
    """Passes the request on as it is, unknown fields included, and answers as the provider answered."""

    def __init__(self, provider: Provider, api_key: str | None, client: httpx.AsyncClient) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._endpoint = Endpoint(provider, "/chat/completions", headers, api_key, client)

    async def call(self, call: ProviderCall) -> AsyncGenerator[ProviderEvent, None]:
        builder = AnswerBuilder()
        async with self._endpoint.open(call, _body(call)) as exchange:
            if call.stream:
                async with aclosing(_chunks(exchange)) as chunks:
                    async for chunk in chunks:
                        try:
                            builder.add(chunk)
                        except (AttributeError, TypeError, ValidationError):
                            raise exchange.broken(_MALFORMED) from None
                        yield Delta(chunk)
                if builder.lacking:
                    raise exchange.broken(Breakage("broken_stream", f"ended its stream without {builder.lacking}"))
                await exchange.finish()
                try:
                    answer = builder.build(_defaults(call))
                except (TypeError, ValidationError):
                    raise exchange.broken(_MALFORMED) from None
            else:
                answer = _whole(await exchange.json(), exchange, call)
        yield Completed(answer)


_MALFORMED = Breakage("malformed_answer", "sent an answer that is not in OpenAI's format")


def _body(call: ProviderCall) -> Json:
    body = call.request.wire()
    body["model"] = call.deployment.name_at_provider
    body["stream"] = call.stream
    # The one place that decides about stream_options: usage is always asked for, since it is what a call is charged by,
    # and OpenAI refuses the field for whole answers.
    options = body.pop("stream_options", None)
    if call.stream:
        body["stream_options"] = {**(options or {}), "include_usage": True}
    # Callers name their agent and run in it, for us. OpenAI takes it only for answers that it is to store.
    if not body.get("store"):
        body.pop("metadata", None)
    return body


async def _chunks(exchange: Exchange) -> AsyncGenerator[Json, None]:
    async with aclosing(exchange.events()) as events:
        async for event in events:
            if event.data.strip() == b"[DONE]":
                return
            chunk = exchange.parse(event.data)
            if chunk.get("error"):
                raise exchange.refused(chunk["error"])
            yield chunk
    raise exchange.broken(Breakage("broken_stream", "ended its stream without [DONE]"))


def _whole(body: Json, exchange: Exchange, call: ProviderCall) -> ChatCompletion:
    if not body.get("choices"):
        if body.get("error"):
            raise exchange.refused(body["error"])
        raise exchange.broken(Breakage("malformed_answer", "answered without any choice"))
    whole = {
        **_defaults(call),
        **{key: value for key, value in body.items() if value is not None},
        "object": "chat.completion",
    }
    whole["usage"] = usage_of(body.get("usage"))
    try:
        whole["choices"] = [{"index": index, **choice} for index, choice in enumerate(body["choices"])]
        return ChatCompletion.model_validate(whole)
    except (TypeError, ValidationError):
        raise exchange.broken(_MALFORMED) from None  # its text quotes the answer


def _defaults(call: ProviderCall) -> Json:
    """What sloppy servers leave out, and what OpenAI's own client insists on."""
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "created": int(time.time()),
        "model": call.deployment.name_at_provider,
    }
