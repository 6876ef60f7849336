"""`GET /healthz`: the process lives. `GET /readyz`: it can serve. Neither needs a key."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.responses import Response
from temporalio.service import RPCError, RPCStatusCode

from api.doors import Probe, TheDoors
from customhouse.contracts.timing import READINESS_TIMEOUT

log = logging.getLogger(__name__)

router = APIRouter(tags=["Health"])


@router.get("/healthz", summary="Whether the process lives")
async def healthz() -> dict[str, str]:
    """200 as long as the process answers at all, whatever state its parts are in."""
    return {"status": "ok"}


@router.get("/readyz", summary="Whether every part can serve", responses={503: {"description": "A part cannot."}})
async def readyz(doors: TheDoors) -> Response:
    """Each part's state; 503 unless all can serve."""
    states = await asyncio.gather(*(_ask(name, probe) for name, probe in doors.probes.items()))
    ready = all(state["status"] == "ok" for state in states)
    body = {"status": "ready" if ready else "not_ready", "parts": {state.pop("name"): state for state in states}}
    return Response(orjson.dumps(body), 200 if ready else 503, media_type="application/json")


async def _ask(name: str, probe: Probe) -> dict[str, Any]:
    began = time.perf_counter()
    try:
        async with asyncio.timeout(READINESS_TIMEOUT.total_seconds()):
            complaint = await probe()
    except TimeoutError:
        complaint = f"no answer within {READINESS_TIMEOUT.total_seconds():g} s"
    except Exception as error:  # noqa: BLE001 - whatever a part answers with is its state
        # No key is needed here, and drivers' messages name hosts and users: those go to the log alone.
        log.warning("a part does not serve", extra={"part": name, "error": str(error)})
        complaint = _reason(error)
    state: dict[str, Any] = {"name": name, "status": "ok" if complaint is None else "failing"}
    if complaint is not None:
        state["error"] = complaint
    return state | {"ms": round((time.perf_counter() - began) * 1000, 1)}


def _reason(error: Exception) -> str:
    """Coarse: whether the part was reached at all. Postgres calls every refusal to connect FATAL."""
    if isinstance(error, RPCError):
        refused = error.status not in (RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED)
    else:
        refused = "FATAL:" in str(error)
    return "it refuses this process; the log has the reason" if refused else "it cannot be reached"
