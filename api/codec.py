"""Temporal's remote codec protocol: lets authorized operators read encrypted history in the Temporal Web UI.

Web UI → Codec Server: endpoint `http://127.0.0.1:8080/api/v1/codec`, and "Pass the user access token" or a key in the
header `X-Api-Key`. The browser calls us directly, so its origin must be the Web UI that the settings name.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request
from starlette.responses import Response

from api.bodies import read_body
from api.doors import Operator, TheDoors
from api.examples import problems
from customhouse.contracts.errors import NotFound
from customhouse.integrations.codec import decode_payloads, encode_payloads

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
        "access-control-allow-headers": "authorization,content-type,x-namespace,x-api-key",
        "access-control-allow-methods": "POST,OPTIONS",
        "vary": "origin",
    }


Cors = Annotated[dict[str, str], Depends(_cors)]


@router.options("/decode", include_in_schema=False)
@router.options("/encode", include_in_schema=False)
async def preflight(cors: Cors) -> Response:
    return Response(status_code=204, headers=cors)


@router.post("/decode", summary="Decrypt payloads", responses=problems(401, 403, 404, 413, 422), openapi_extra=_BODY)
async def decode(request: Request, doors: TheDoors, _: Operator, cors: Cors) -> Response:
    """Payloads in protobuf's JSON, as Temporal's codec protocol has it. For operators only."""
    if doors.codec is None:
        raise _no_codec()
    body = await read_body(request, _MAX_PAYLOADS_BYTES)
    return Response(await decode_payloads(body, doors.codec), headers=cors, media_type="application/json")


@router.post("/encode", summary="Encrypt payloads", responses=problems(401, 403, 404, 413, 422), openapi_extra=_BODY)
async def encode(request: Request, doors: TheDoors, _: Operator, cors: Cors) -> Response:
    """The other way: for what an operator types into the Web UI."""
    if doors.codec is None:
        raise _no_codec()
    body = await read_body(request, _MAX_PAYLOADS_BYTES)
    return Response(await encode_payloads(body, doors.codec), headers=cors, media_type="application/json")


def _no_codec() -> NotFound:
    return NotFound(
        "History is not encrypted here: CUSTOMHOUSE_ENCRYPTION_KEY is not set, so there is nothing to decode."
    )
