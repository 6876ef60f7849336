"""`GET /openapi.json`: the description of the API itself."""

from __future__ import annotations

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.doors import Member

router = APIRouter(include_in_schema=False)


@router.get("/openapi.json")
async def openapi(request: Request, _: Member) -> Response:
    return Response(orjson.dumps(request.app.openapi()), media_type="application/json")
