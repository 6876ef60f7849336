"""Temporal's remote codec protocol: lets authorized operators read encrypted history in the Temporal Web UI.

The Web UI sends no API key of ours; what it can send is a cookie. So an operator signs in once at
`GET /api/v1/codec/session`, which sets one for these routes alone. In its codec settings the Web UI is given the
endpoint `http://127.0.0.1:8080/api/v1/codec` and told to include cross-origin credentials.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Header, Request
from starlette.responses import Response
from temporalio.converter import PayloadCodec

from api.bodies import read_body
from api.doors import Doors, TheDoors
from api.examples import problems
from api.problems import render
from customhouse.contracts.errors import CustomhouseError, Forbidden, NotFound
from customhouse.integrations.codec import decode_payloads, encode_payloads
from customhouse.storage.keys import Principal, Role

router = APIRouter(prefix="/api/v1/codec", tags=["Codec"])

_BYTES = {"type": "string", "format": "byte"}
_PAYLOAD = {
    "type": "object",
    "properties": {"metadata": {"type": "object", "additionalProperties": _BYTES}, "data": _BYTES},
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object", "properties": {"payloads": {"type": "array", "items": _PAYLOAD}}},
                "example": {"payloads": [{"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": "ImhpIg=="}]},
            }
        },
    }
}

_COOKIE = "customhouse_codec"

_SESSION_S = 8 * 3600
"""A working day."""

_LONGEST_FORM_BYTES = 4096

_NO_SCRIPTS = "default-src 'none'; form-action 'self'; style-src 'none'; frame-ancestors 'none'"

_SIGN_IN = """<!doctype html>
<html lang="en"><title>Customhouse: read encrypted history</title>
<h1>Read encrypted history</h1>
<p>The API key of one of this installation's operators lets the Temporal Web UI in this browser decrypt payloads for 8
hours.</p>
<form method="post">
<label>API key <input name="key" type="password" required autofocus></label> <button>Sign in</button>
</form></html>
"""

_MAX_PAYLOADS_BYTES = 16 * 2**20
"""A page of history: Temporal sends at most 4 MB a message, and base64 and JSON make it larger."""


async def _cors(
    doors: TheDoors, origin: Annotated[str | None, Header(include_in_schema=False)] = None
) -> dict[str, str]:
    allowed = doors.temporal_ui_url.rstrip("/") if doors.temporal_ui_url else None
    if origin is None or origin != allowed:
        return {}
    return {
        "access-control-allow-origin": origin,
        "access-control-allow-credentials": "true",
        "access-control-allow-headers": "authorization,content-type,x-namespace,x-api-key,temporal-namespace",
        "access-control-allow-methods": "POST,OPTIONS",
        "vary": "origin",
    }


Cors = Annotated[dict[str, str], Depends(_cors)]


@router.options("/decode", include_in_schema=False)
@router.options("/encode", include_in_schema=False)
async def preflight(cors: Cors) -> Response:
    return Response(status_code=204, headers=cors)


@router.get("/session", include_in_schema=False)
async def sign_in_page() -> Response:
    return Response(_SIGN_IN, headers={"content-security-policy": _NO_SCRIPTS}, media_type="text/html")


@router.post("/session", include_in_schema=False)
async def sign_in(request: Request, doors: TheDoors) -> Response:
    """Takes the form's key, and keeps it in a cookie that only these routes get and no script can read."""
    form = parse_qs((await read_body(request, _LONGEST_FORM_BYTES)).decode("utf-8", "replace"))
    key = form.get("key", [""])[0].strip()
    _admit(doors, await doors.authenticator.authenticate_secret(key, Role.OPERATOR))
    response = Response("Signed in. Reload the Temporal Web UI.", media_type="text/plain")
    response.set_cookie(
        _COOKIE,
        key,
        max_age=_SESSION_S,
        path="/api/v1/codec",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


@router.post("/decode", summary="Decrypt payloads", responses=problems(401, 403, 404, 413, 422), openapi_extra=_BODY)
async def decode(request: Request, doors: TheDoors, cors: Cors) -> Response:
    """Payloads in protobuf's JSON, as Temporal's codec protocol has it. For operators only."""
    return await _transformed(request, doors, cors, decode_payloads)


@router.post("/encode", summary="Encrypt payloads", responses=problems(401, 403, 404, 413, 422), openapi_extra=_BODY)
async def encode(request: Request, doors: TheDoors, cors: Cors) -> Response:
    """The other way: for what an operator types into the Web UI."""
    return await _transformed(request, doors, cors, encode_payloads)


async def _transformed(
    request: Request,
    doors: Doors,
    cors: dict[str, str],
    transform: Callable[[bytes, PayloadCodec], Awaitable[bytes]],
) -> Response:
    """Errors bear the CORS headers too: without them a browser hides what is wrong from the Web UI."""
    try:
        secret = request.cookies.get(_COOKIE)
        if secret is None:
            principal = await doors.authenticator.authenticate(request, Role.OPERATOR)
        else:
            principal = await doors.authenticator.authenticate_secret(secret, Role.OPERATOR)
        _admit(doors, principal)
        if doors.codec is None:
            raise _no_codec()
        body = await transform(await read_body(request, _MAX_PAYLOADS_BYTES), doors.codec)
    except CustomhouseError as error:
        return render(request.url.path, error.to_record(), cors)
    return Response(body, headers=cors, media_type="application/json")


def _admit(doors: Doors, principal: Principal) -> None:
    """One key encrypts all organizations' histories, and a payload does not say whose it is."""
    if principal.organization_id != doors.organization_id:
        raise Forbidden(
            "Only operators of the installation's own organization (CUSTOMHOUSE_ORGANIZATION) may read encrypted "
            f"history, and the key {principal.name!r} belongs to another one."
        )


def _no_codec() -> NotFound:
    return NotFound(
        "History is not encrypted here: CUSTOMHOUSE_ENCRYPTION_KEY is not set, so there is nothing to decode."
    )
