"""Requests and answers, inline or by claim check."""

from __future__ import annotations

from uuid import UUID

import orjson

from customhouse.contracts.chat import ChatRequest, Json
from customhouse.contracts.errors import CustomhouseError
from customhouse.contracts.invocation import AttemptOutcome, ContentRef, InvocationInput
from customhouse.contracts.limits import CLAIM_CHECK_BYTES
from customhouse.governance.restoring import Originals
from customhouse.integrations.sealing import Sealer
from customhouse.storage.contents import Contents


class ContentAccess:
    """Reads what an invocation refers to, and puts away what is too large for Temporal's history."""

    def __init__(self, contents: Contents, sealer: Sealer) -> None:
        self._contents = contents
        self._sealer = sealer

    async def request_of(self, invocation: InvocationInput) -> ChatRequest:
        if invocation.request is not None:
            return invocation.request
        if invocation.request_ref is None:
            raise CustomhouseError(f"Invocation {invocation.invocation_id} bears neither a request nor a reference.")
        return ChatRequest.model_validate(await self.read(invocation.caller.organization_id, invocation.request_ref))

    async def put_away_large_answer(self, invocation: InvocationInput, outcome: AttemptOutcome) -> AttemptOutcome:
        """The outcome with its answer by reference, if that is over the limit."""
        if outcome.answer is None:
            return outcome
        body = outcome.answer.model_dump_json().encode()
        if len(body) <= CLAIM_CHECK_BYTES:
            return outcome
        reference = await self._contents.put(
            invocation.caller.organization_id, self._sealer.seal(body), encrypted=self._sealer.encrypts
        )
        return outcome.model_copy(update={"answer": None, "answer_ref": reference})

    async def keep_originals(self, organization_id: UUID, originals: Originals) -> ContentRef:
        """What was redacted, encrypted. Raises CustomhouseError where there is no key to encrypt it with."""
        if not self._sealer.encrypts:
            raise CustomhouseError("What was redacted may only be kept encrypted, and there is no encryption key.")
        return await self._contents.put(organization_id, self._sealer.seal(orjson.dumps(originals)), encrypted=True)

    async def forget(self, organization_id: UUID, reference: ContentRef) -> None:
        await self._contents.delete(organization_id, reference)

    async def read(self, organization_id: UUID, reference: ContentRef) -> Json:
        """Raises NotFound where the organization has no such content."""
        stored = await self._contents.get(organization_id, reference)
        content: Json = orjson.loads(self._sealer.open(stored.body, encrypted=stored.encrypted))
        return content
