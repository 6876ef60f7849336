"""The FastAPI application: routes and error rendering. What it works with is made by the composition root."""

from __future__ import annotations

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from api import (
    alerts,
    blocks,
    budgets,
    chat,
    codec,
    cost_logs,
    description,
    feedback,
    health,
    invocations,
    limits,
    problems,
    similarity_logs,
)
from api.doors import Doors
from api.gate import Gate
from api.invocations import InvocationRequest
from customhouse import __version__
from customhouse.contracts.chat import ChatRequest, Json

_DESCRIPTION = (
    "Governed calls to large language models: checked, routed, charged and recorded exactly once. "
    "Errors under `/v1` have OpenAI's form, all others are RFC 9457 problems."
)


def create_app(doors: Doors) -> FastAPI:
    app = FastAPI(
        title="Customhouse",
        version=__version__,
        description=_DESCRIPTION,
        # The description needs a key like everything else (`api/description.py`); its stock page loads from a CDN.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        # What chat messages look like on the way out is what they look like on the way in (`contracts/chat.py`).
        separate_input_output_schemas=False,
    )
    app.state.doors = doors
    _describe_bodies(app)
    problems.install(app)
    app.add_middleware(Gate)
    reading = (invocations, cost_logs, similarity_logs)
    for module in (health, description, chat, *reading, alerts, budgets, feedback, codec, limits, blocks):
        app.include_router(module.router)
    return app


def _describe_bodies(app: FastAPI) -> None:
    """FastAPI does not know the bodies that routes read by themselves: their schemas are added to its description."""
    describe = app.openapi

    def openapi() -> Json:
        if app.openapi_schema is None:
            _, bodies = models_json_schema(
                [(ChatRequest, "validation"), (InvocationRequest, "validation")],
                ref_template="#/components/schemas/{model}",
            )
            describe()["components"]["schemas"] |= bodies["$defs"]
        return describe()

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend it
