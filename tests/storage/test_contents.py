from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from customhouse.contracts.errors import NotFound
from customhouse.contracts.invocation import ContentRef
from customhouse.storage.contents import Contents, StoredContent
from customhouse.storage.ids import new_id


@pytest.mark.parametrize("body", [b"", b"\0\xff not text", b"x" * 5_000_000], ids=["empty", "binary", "5 MB"])
async def test_a_body_comes_back_as_it_was_put(engine: AsyncEngine, organization: UUID, body: bytes) -> None:
    contents = Contents(engine)
    reference = await contents.put(organization, body, encrypted=True)
    assert reference.size_bytes == len(body)
    assert await contents.get(organization, reference) == StoredContent(body, encrypted=True)


async def test_a_stranger_s_content_is_not_found(engine: AsyncEngine, organization: UUID, stranger: UUID) -> None:
    reference = await Contents(engine).put(organization, b"secret", encrypted=False)
    with pytest.raises(NotFound, match=str(reference.content_id)):
        await Contents(engine).get(stranger, reference)


async def test_an_unknown_content_is_not_found(engine: AsyncEngine, organization: UUID) -> None:
    with pytest.raises(NotFound):
        await Contents(engine).get(organization, ContentRef(content_id=new_id(), size_bytes=1))
