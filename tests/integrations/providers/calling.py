"""What every provider test does with a call."""

from __future__ import annotations

import pytest
from openai.types.chat import ChatCompletion as OpenAICompletion
from openai.types.chat import ChatCompletionChunk

from customhouse.contracts.chat import ChatCompletion, Json
from customhouse.contracts.errors import ProviderError
from customhouse.integrations.providers.base import ChatProvider, Completed, Delta, ProviderCall


async def answer_of(provider: ChatProvider, call: ProviderCall) -> tuple[list[Json], ChatCompletion]:
    """The chunks and the whole answer, each of which OpenAI's own client would accept."""
    chunks: list[Json] = []
    answers: list[ChatCompletion] = []
    async for event in provider.call(call):
        if isinstance(event, Delta):
            assert not answers, "a delta came after the whole answer"
            ChatCompletionChunk.model_validate(event.chunk)
            chunks.append(event.chunk)
        else:
            assert isinstance(event, Completed)
            answers.append(event.answer)
    assert len(answers) == 1
    OpenAICompletion.model_validate(answers[0].model_dump(mode="json"))
    return chunks, answers[0]


async def failure_of(provider: ChatProvider, call: ProviderCall) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        async for _ in provider.call(call):
            pass
    return caught.value


def texts(chunks: list[Json], key: str = "content", choice: int = 0) -> str:
    """What the chunks say, put together the way a client does it."""
    deltas = [c["delta"] for chunk in chunks for c in chunk["choices"] if c["index"] == choice]
    return "".join(delta.get(key) or "" for delta in deltas)
