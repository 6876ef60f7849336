"""Chat requests and answers in the shape of the OpenAI API: the one shape inside Customhouse.

Providers with another wire format are translated at the edge (`integrations/providers`). Fields we do not know are
kept and passed on, so that a new OpenAI parameter works on the day it appears.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

Json = dict[str, Any]

TokenLimit = Annotated[int, Field(ge=1, lt=2**31)]
"""What every server's integer type holds."""

Labels = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]], Field(max_length=16)
]
"""Metadata within OpenAI's limits: 16 pairs, keys of 64 and values of 512 characters. It goes into history and into a
row as it is, so it must be small."""


class Sparse(BaseModel):
    """Written as it was read: fields that nobody set stay out, explicit nulls and unknown fields stay in.

    Otherwise a request that went through Temporal or Postgres would come out with a null for everything left unsaid,
    and servers take a null for another thing than nothing.
    """

    model_config = ConfigDict(extra="allow")

    @model_serializer(mode="wrap")
    def _only_what_was_set(self, write: SerializerFunctionWrapHandler) -> Json:
        written: Json = write(self)
        return {name: value for name, value in written.items() if name in self.model_fields_set}


class ContentPart(Sparse):
    """A part of a message: text, image, audio or file."""

    type: str
    text: str | None = None


class Message(Sparse):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[ContentPart] | None = None
    tool_calls: list[Json] | None = None
    tool_call_id: str | None = None
    name: str | None = None


class StreamOptions(Sparse):
    include_usage: bool | None = None


class ChatRequest(Sparse):
    """Body of `POST /v1/chat/completions`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"model": "smollm2-135m", "messages": [{"role": "user", "content": "Say hello."}]}]
        },
    )

    model: Annotated[str, Field(min_length=1, max_length=256)]
    messages: Annotated[list[Message], Field(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    max_tokens: TokenLimit | None = None
    max_completion_tokens: TokenLimit | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    stop: str | list[str] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    tools: list[Json] | None = None
    tool_choice: str | Json | None = None
    parallel_tool_calls: bool | None = None
    response_format: Json | None = None
    user: Annotated[str, Field(max_length=512)] | None = None
    metadata: Labels | None = None

    def wire(self) -> Json:
        """The request as JSON for the wire: only what the caller set."""
        return self.model_dump(mode="json")


class Usage(Sparse):
    """Tokens of one attempt, as the provider counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    prompt_tokens_details: Json | None = None
    completion_tokens_details: Json | None = None

    @property
    def cached_tokens(self) -> int:
        """Prompt tokens read from the provider's cache (a part of `prompt_tokens`)."""
        return int((self.prompt_tokens_details or {}).get("cached_tokens") or 0)

    @property
    def cache_write_tokens(self) -> int:
        """Prompt tokens written to the provider's cache (a part of `prompt_tokens`; Anthropic only)."""
        return int((self.prompt_tokens_details or {}).get("cache_write_tokens") or 0)


class Choice(Sparse):
    index: int = 0
    message: Json
    finish_reason: str | None = None


class ChatCompletion(Sparse):
    """A whole answer: the body that `POST /v1/chat/completions` returns."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage | None = None
