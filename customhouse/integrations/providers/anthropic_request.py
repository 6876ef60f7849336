"""A chat request as a request of the Messages API.

What changes the answer's shape or meaning and has no counterpart is refused with a `ProviderError` that names it. What
only tunes how tokens are sampled, speeds things up or labels the request (`seed`, penalties, `verbosity`,
`prediction`, `store`, `metadata`, …) is left out, as Anthropic's own OpenAI-compatible endpoint does
(https://platform.claude.com/docs/en/api/openai-sdk).
"""

from __future__ import annotations

import hashlib
import re

from customhouse.contracts.catalog import Deployment
from customhouse.contracts.chat import ChatRequest, Json
from customhouse.integrations.providers.anthropic_messages import system_and_turns
from customhouse.integrations.providers.anthropic_schema import supported_schema
from customhouse.integrations.providers.anthropic_unsupported import unsupported

DEFAULT_MAX_TOKENS = 4096
"""`max_tokens` is mandatory at Anthropic. Used where neither the caller nor the catalog gives one; every Claude model
can write as much."""

_NO_COUNTERPART = (
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "audio",
    "functions",
    "function_call",
    "web_search_options",
)

_NATIVE = ("thinking", "top_k", "cache_control")
"""Fields of the Messages API that a caller may set beside OpenAI's. Those that choose where or on what terms the call
is served (`inference_geo`, `container`, …) are not among them: that is the route's decision."""

_SAMPLES_BY_PARAMETERS = re.compile(r"claude-(instant|[23]|[a-z]+-4(-[0-6])?(-\d{8})?(@\d{8})?$)")
"""Claude models up to 4.6. Later ones answer 400 to temperature, top_p and top_k: see
https://platform.claude.com/docs/en/about-claude/model-deprecations#api-parameter-deprecations."""

_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}

_JSON_OBJECT_INSTRUCTION = "Answer with a single JSON object and nothing else: no prose and no code fence around it."
"""Anthropic has no JSON mode without a schema."""


def messages_request(request: ChatRequest, deployment: Deployment, *, stream: bool) -> Json:
    """Raises ProviderError (terminal) for what the Messages API cannot do."""
    asked = request.wire()
    _refuse(asked)
    system, turns = system_and_turns(request.messages)
    model = deployment.name_at_provider
    limit = request.max_completion_tokens or request.max_tokens or deployment.max_output_tokens or DEFAULT_MAX_TOKENS
    body: Json = {"model": model, "max_tokens": limit, "messages": turns, "stream": stream}
    if config := _output_config(asked):
        body["output_config"] = config
    if (request.response_format or {}).get("type") == "json_object":
        system.append({"type": "text", "text": _JSON_OBJECT_INSTRUCTION})
    if system:
        body["system"] = system
    if stops := [s for s in ([request.stop] if isinstance(request.stop, str) else request.stop or []) if s.strip()]:
        body["stop_sequences"] = stops  # Anthropic refuses those of white space alone
    if tools := request.tools:
        body |= _tools(tools, request.tool_choice, request.parallel_tool_calls)
    if user := asked.get("safety_identifier") or request.user:
        # Anthropic wants an opaque id here and no name or address; OpenAI's field may hold either.
        body["metadata"] = {"user_id": hashlib.sha256(str(user).encode()).hexdigest()}
    if asked.get("reasoning_effort") == "none":
        body["thinking"] = {"type": "disabled"}
    body |= _sampling(request, model)
    body |= {key: asked[key] for key in _NATIVE if asked.get(key) is not None and (key != "top_k" or _samples(model))}
    return body


def _refuse(asked: Json) -> None:
    if (asked.get("n") or 1) > 1:
        raise unsupported("n", "it gives one answer a call; ask several times instead")
    for name in _NO_COUNTERPART:
        if asked.get(name) not in (None, False, 0, {}, []):
            raise unsupported(name, "it has no counterpart; leave it out or ask another model")
    if set(asked.get("modalities") or ["text"]) - {"text"}:
        raise unsupported("modalities", "it answers in text only")


def _samples(model: str) -> bool:
    return not model.startswith("claude-") or _SAMPLES_BY_PARAMETERS.match(model) is not None


def _sampling(request: ChatRequest, model: str) -> Json:
    if not _samples(model):
        return {}
    sampling: Json = {}
    if request.temperature is not None:
        sampling["temperature"] = min(request.temperature, 1.0)  # Anthropic's range ends at 1, OpenAI's at 2
    if request.top_p is not None:
        sampling["top_p"] = request.top_p
    return sampling


def _output_config(asked: Json) -> Json:
    config: Json = {}
    if effort := _EFFORTS.get(asked.get("reasoning_effort") or ""):
        config["effort"] = effort
    wanted = asked.get("response_format") or {}
    match wanted.get("type", "text"):
        case "json_schema":
            schema = (wanted.get("json_schema") or {}).get("schema")
            if not isinstance(schema, dict):
                raise unsupported("response_format", "its json_schema must hold a schema")
            config["format"] = {"type": "json_schema", "schema": supported_schema(schema)}
        case "text" | "json_object":
            pass
        case other:
            raise unsupported("response_format", f"it knows no type {other!r}; use text, json_object or json_schema")
    return config


def _tools(tools: list[Json], choice: str | Json | None, parallel: bool | None) -> Json:
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        allowed = choice.get("allowed_tools") or {}
        names = {(t.get("function") or t).get("name") for t in allowed.get("tools") or []}
        tools = [tool for tool in tools if (tool.get("function") or {}).get("name") in names]
        choice = allowed.get("mode") or "auto"
    translated: Json = {"tools": [_tool(tool, index) for index, tool in enumerate(tools)]}
    chosen = _tool_choice(choice)
    if parallel is False and chosen["type"] != "none":
        chosen["disable_parallel_tool_use"] = True
    if chosen != {"type": "auto"}:
        translated["tool_choice"] = chosen
    return translated


def _tool(tool: Json, index: int) -> Json:
    function = tool.get("function")
    if tool.get("type", "function") != "function" or not isinstance(function, dict) or not function.get("name"):
        raise unsupported(f"tools.{index}", "only tools of type function, with a name, can be given to it")
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    translated: Json = {"name": function["name"], "input_schema": {"type": "object", **schema}}
    if function.get("description"):
        translated["description"] = function["description"]
    if function.get("strict"):
        translated |= {"strict": True, "input_schema": supported_schema(translated["input_schema"])}
    if cache := tool.get("cache_control") or function.get("cache_control"):
        translated["cache_control"] = cache
    return translated


def _tool_choice(choice: str | Json | None) -> Json:
    match choice:
        case None | "auto":
            return {"type": "auto"}
        case "required":
            return {"type": "any"}
        case "none":
            return {"type": "none"}
        case {"type": "function", "function": {"name": str(name)}}:
            return {"type": "tool", "name": name}
        case _:
            raise unsupported("tool_choice", "use none, auto, required, a function by name, or allowed_tools")
