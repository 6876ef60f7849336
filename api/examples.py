"""OpenAPI's parameters, examples and error responses of the doors that parse their body themselves."""

from __future__ import annotations

from typing import Any

from customhouse.contracts.chat import Json


def _header(name: str, description: str, schema: Json, example: str) -> Json:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": description,
        "schema": schema,
        "example": example,
    }


_LABEL = {"type": "string", "minLength": 1, "maxLength": 256}

CALLER_PARAMETERS: list[Json] = [
    _header("X-Customhouse-Agent", "The agent that asks.", _LABEL, "support-bot"),
    _header("X-Customhouse-User", "The end user. The body's `user` stands in for it.", _LABEL, "user-17"),
    _header("X-Customhouse-Workflow-Execution", "The caller's own run, to sum costs by.", _LABEL, "run-2024-11-24-1"),
    _header("X-Customhouse-Node", "The step of that run.", _LABEL, "summarize"),
    _header("X-Customhouse-Region", "Only deployments in this region may answer.", _LABEL, "eu"),
    _header("X-Customhouse-Plan", "The caller's plan.", _LABEL, "free"),
    _header(
        "X-Customhouse-On-Disconnect",
        "What a hang-up means: the invocation goes on (the default), or is cancelled.",
        {"type": "string", "enum": ["continue", "cancel"]},
        "continue",
    ),
    _header(
        "X-Customhouse-Deadline-Seconds",
        "Seconds from request to answer, 600 by default.",
        {"type": "number", "exclusiveMinimum": 0, "maximum": 86400},
        "60",
    ),
    _header(
        "Idempotency-Key",
        "Same key and same body: the same answer, and one bill. Same key, another body: 422.",
        {"type": "string", "minLength": 1, "maxLength": 255},
        "order-17-summary",
    ),
]

_OPENAI_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": "string"},
            },
        }
    },
}

_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "param": {"type": "string"},
        "instance": {"type": "string"},
    },
}

_DESCRIPTIONS = {
    400: "Not a JSON object, or the provider calls the request wrong.",
    401: "No API key, or one that is unknown, expired or revoked.",
    402: "A hard budget has no room for what the call may cost at worst.",
    403: "Blocked by policy, no lawful route, the caller is blocked, or the key's role does not reach this far.",
    404: "Not in your organization, or not in the catalog.",
    409: "The invocation is in a state that does not allow this.",
    413: "The body is over the limit.",
    422: "One field is wrong (`param` names it), or the Idempotency-Key was used with another body.",
    429: "A limit of yours is reached, or every deployment is at its own; `Retry-After` says when to try again.",
    502: "Every deployment that the route allows has failed.",
    503: "A part that this process stands on does not serve; try again.",
    504: "The deadline passed.",
}


Responses = dict[int | str, dict[str, Any]]
"""As FastAPI takes them."""


def openai_errors(*statuses: int) -> Responses:
    return {
        status: {"description": _DESCRIPTIONS[status], "content": {"application/json": {"schema": _OPENAI_ERROR}}}
        for status in statuses
    }


def problems(*statuses: int) -> Responses:
    return {
        status: {"description": _DESCRIPTIONS[status], "content": {"application/problem+json": {"schema": _PROBLEM}}}
        for status in statuses
    }


def json_body(schema: str) -> Json:
    """A request body that a route reads by itself: FastAPI would not know of it."""
    return {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }
