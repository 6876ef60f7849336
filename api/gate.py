"""The gate before all doors: blocked addresses are turned back at it, and limits are shown on what leaves by it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import render
from customhouse.contracts.errors import Blocked, RateLimited
from customhouse.contracts.invocation import Caller
from customhouse.governance.limits.networks import Address
from customhouse.governance.tokens import expected_tokens

if TYPE_CHECKING:
    from api.doors import Doors
    from api.invoker import Ask

_PROBES = frozenset({"/healthz", "/readyz"})
"""For load balancers, which say nothing of who calls."""

_ADDRESS = "customhouse.address"
_HEADERS = "customhouse.rate_limit_headers"
"""Where in a request's scope they stand."""


class Gate:
    """ASGI middleware: the first to see a request, and the last to see its answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _PROBES:
            await self._app(scope, receive, send)
            return
        doors: Doors = scope["app"].state.doors
        scope[_ADDRESS] = address = doors.addresses.of(scope)
        try:
            doors.block_book.check_address(address)
        except Blocked as error:
            await render(scope["path"], error.to_record())(scope, receive, send)
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start" and (shown := scope.get(_HEADERS)):
                message["headers"] = [*message["headers"], *shown]
            await send(message)

        await self._app(scope, receive, sent)


def address_of(request: Request) -> Address | None:
    """The client's, as the gate saw it."""
    address: Address | None = request.scope.get(_ADDRESS)
    return address


async def admitted(request: Request, doors: Doors, ask: Ask) -> Ask:
    """The same ask, once its caller is known not to be blocked and all its limits have room.

    Raises Blocked or RateLimited; nothing was begun then. Whatever the answer will be, it shows the limits.
    """
    address = address_of(request)
    caller = ask.caller if address is None else _from(ask.caller, address)
    doors.block_book.check_caller(caller)
    try:
        admission = await doors.limiter.admit(caller, lambda: expected_tokens(ask.request))
    except RateLimited as error:
        shown = dict(error.headers)
        if error.retry_after_s is not None:
            # Rounded up: whoever comes at the time that they were told finds room.
            shown["retry-after-ms"] = str(math.ceil(error.retry_after_s * 1000))
            error.retry_after_s = math.ceil(error.retry_after_s)
        _show(request, shown)
        raise
    _show(request, admission.headers)
    return dataclasses.replace(ask, caller=caller, admission=admission)


def _from(caller: Caller, address: Address) -> Caller:
    return caller.model_copy(update={"ip": str(address)})


def _show(request: Request, headers: Mapping[str, str]) -> None:
    if headers:
        request.scope[_HEADERS] = [(name.encode(), value.encode()) for name, value in headers.items()]
