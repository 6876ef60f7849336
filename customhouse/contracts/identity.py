"""Who an invocation is: its workflow id, the fingerprint of its body, and its trace id.

Here and not among the decisions, because an agent runtime's client computes the same without the server's packages.
"""

from __future__ import annotations

import hashlib
import json
from urllib.parse import quote
from uuid import UUID

from customhouse.contracts.chat import ChatRequest
from customhouse.contracts.errors import UnprocessableField
from customhouse.contracts.invocation import Caller

_READABLE = 640
"""Longest encoded key that is shown whole. Temporal's limit for a workflow id is 1000 bytes; the organization and the
separators take 37."""


def workflow_id(organization_id: UUID, key: str) -> str:
    """The workflow id of the invocation with this idempotency key: the same pair always gives the same id.

    A key may hold any characters; percent-encoding keeps it readable, printable and unambiguous. A key that would be
    too long so is cut and told apart by its SHA-256; `#` instead of `:` keeps the two forms from ever meeting.
    """
    raw = key.encode("utf-8", "surrogatepass")
    encoded = quote(raw, safe="")
    if len(encoded) <= _READABLE:
        return f"{organization_id}:{encoded}"
    return f"{organization_id}#{encoded[:64]}#{hashlib.sha256(raw).hexdigest()}"


def fingerprint(request: ChatRequest, caller: Caller) -> str:
    """SHA-256 (hex) over the body and what the caller said that changes its meaning.

    Two calls under one idempotency key are the same call if and only if their fingerprints agree. Who asks within the
    organization (agent, user, node) is left out: a retry from another node must find the first one's answer.
    Raises UnprocessableField for a body that JSON cannot carry (lone surrogates).
    """
    meaning = {"request": request.wire(), "region": caller.region, "plan": caller.plan}
    try:
        canonical = json.dumps(meaning, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise UnprocessableField(
            f"The request holds half of a surrogate pair ({error.reason}); send well-formed Unicode text.",
            param="messages",
        ) from error
    return hashlib.sha256(canonical).hexdigest()


def trace_id(invocation_id: UUID) -> str:
    """32 hex digits: the invocation id's own, so that every system shows the same trace under the same id."""
    return invocation_id.hex
