"""Names and values of span and metric attributes: OpenTelemetry's GenAI conventions, and ours under `customhouse.`.

Decisions, ids and numbers only: no attribute ever holds text of a request or an answer.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as semconv
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics
from opentelemetry.semconv.attributes import error_attributes
from opentelemetry.semconv.attributes.server_attributes import SERVER_ADDRESS, SERVER_PORT
from opentelemetry.util.types import AttributeValue

from customhouse.contracts.catalog import Deployment, Provider
from customhouse.contracts.chat import ChatCompletion, ChatRequest, Usage

Attributes = dict[str, AttributeValue]

ERROR_TYPE: Final = error_attributes.ERROR_TYPE

# --- Ours -------------------------------------------------------------------------------------------------------------

INVOCATION_ID: Final = "customhouse.invocation.id"
ORGANIZATION_ID: Final = "customhouse.organization.id"
VERDICT: Final = "customhouse.verdict"
STATUS: Final = "customhouse.status"
POLICY_VERSION: Final = "customhouse.policy.version"
DEPLOYMENT_ID: Final = "customhouse.deployment.id"
ATTEMPT_NUMBER: Final = "customhouse.attempt.number"
COST_USD: Final = "customhouse.cost.usd"

OVERHEAD_DURATION: Final = "customhouse.overhead.duration"
INVOCATIONS: Final = "customhouse.invocations"

# --- The conventions' metrics -----------------------------------------------------------------------------------------

CLIENT_TOKEN_USAGE: Final = gen_ai_metrics.GEN_AI_CLIENT_TOKEN_USAGE
CLIENT_OPERATION_DURATION: Final = gen_ai_metrics.GEN_AI_CLIENT_OPERATION_DURATION
CLIENT_TIME_TO_FIRST_CHUNK: Final = gen_ai_metrics.GEN_AI_CLIENT_OPERATION_TIME_TO_FIRST_CHUNK
TOKEN_TYPE: Final = semconv.GEN_AI_TOKEN_TYPE
INPUT_TOKENS: Final = semconv.GenAiTokenTypeValues.INPUT.value
OUTPUT_TOKENS: Final = semconv.GenAiTokenTypeValues.OUTPUT.value

_CHAT: Final = semconv.GenAiOperationNameValues.CHAT.value
_Provider = semconv.GenAiProviderNameValues

_PROVIDER_BY_HOST: Final = {
    "api.openai.com": _Provider.OPENAI,
    "api.anthropic.com": _Provider.ANTHROPIC,
    "openai.azure.com": _Provider.AZURE_AI_OPENAI,
    "services.ai.azure.com": _Provider.AZURE_AI_INFERENCE,
    "generativelanguage.googleapis.com": _Provider.GCP_GEMINI,
    "aiplatform.googleapis.com": _Provider.GCP_VERTEX_AI,
    "amazonaws.com": _Provider.AWS_BEDROCK,
    "api.cohere.com": _Provider.COHERE,
    "api.deepseek.com": _Provider.DEEPSEEK,
    "api.groq.com": _Provider.GROQ,
    "api.mistral.ai": _Provider.MISTRAL_AI,
    "api.perplexity.ai": _Provider.PERPLEXITY,
    "api.x.ai": _Provider.X_AI,
}
"""The conventions' well-known values, by the host that they are reached at (or its parent domain)."""

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def provider_name(provider: Provider) -> str:
    """`gen_ai.provider.name`: the well-known value of the service, else the catalog's own name for it."""
    host = urlsplit(str(provider.base_url)).hostname or ""
    while "." in host:
        if host in _PROVIDER_BY_HOST:
            return _PROVIDER_BY_HOST[host].value
        host = host.partition(".")[2]
    return "anthropic" if provider.kind == "anthropic" else provider.name


def server_attributes(provider: Provider) -> Attributes:
    url = urlsplit(str(provider.base_url))
    return {SERVER_ADDRESS: url.hostname or "", SERVER_PORT: url.port or _DEFAULT_PORTS.get(url.scheme, 0)}


def operation_attributes(deployment: Deployment, provider: Provider) -> Attributes:
    """What span and metrics share; the same for every call of a deployment."""
    return {
        semconv.GEN_AI_OPERATION_NAME: _CHAT,
        semconv.GEN_AI_PROVIDER_NAME: provider_name(provider),
        semconv.GEN_AI_REQUEST_MODEL: deployment.name_at_provider,
        **server_attributes(provider),
    }


def span_name(deployment: Deployment) -> str:
    return f"{_CHAT} {deployment.name_at_provider}"


def request_attributes(request: ChatRequest, *, stream: bool) -> Attributes:
    """The request's parameters, where the caller set them."""
    found: dict[str, AttributeValue | None] = {
        semconv.GEN_AI_REQUEST_MAX_TOKENS: request.max_completion_tokens or request.max_tokens,
        semconv.GEN_AI_REQUEST_TEMPERATURE: request.temperature,
        semconv.GEN_AI_REQUEST_TOP_P: request.top_p,
        semconv.GEN_AI_REQUEST_PRESENCE_PENALTY: request.presence_penalty,
        semconv.GEN_AI_REQUEST_FREQUENCY_PENALTY: request.frequency_penalty,
        semconv.GEN_AI_REQUEST_SEED: request.seed,
        # The conventions want it only where it is not 1.
        semconv.GEN_AI_REQUEST_CHOICE_COUNT: request.n if request.n != 1 else None,
        semconv.GEN_AI_OUTPUT_TYPE: _output_type(request),
        semconv.GEN_AI_REQUEST_STREAM: stream or None,
    }
    return {name: value for name, value in found.items() if value is not None}


def answer_attributes(answer: ChatCompletion, usage: Usage | None) -> Attributes:
    attributes: Attributes = {
        semconv.GEN_AI_RESPONSE_ID: answer.id,
        semconv.GEN_AI_RESPONSE_MODEL: answer.model,
        semconv.GEN_AI_RESPONSE_FINISH_REASONS: [choice.finish_reason or "" for choice in answer.choices],
    }
    if usage is not None:
        attributes[semconv.GEN_AI_USAGE_INPUT_TOKENS] = usage.prompt_tokens
        attributes[semconv.GEN_AI_USAGE_OUTPUT_TOKENS] = usage.completion_tokens
        if usage.cached_tokens:
            attributes[semconv.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS] = usage.cached_tokens
        if usage.cache_write_tokens:
            attributes[semconv.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS] = usage.cache_write_tokens
    return attributes


def time_to_first_chunk_attributes(seconds: float) -> Attributes:
    return {semconv.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK: seconds}


def response_model_attributes(answer: ChatCompletion) -> Attributes:
    return {semconv.GEN_AI_RESPONSE_MODEL: answer.model}


def _output_type(request: ChatRequest) -> str | None:
    kind = (request.response_format or {}).get("type")
    return "json" if kind in ("json_object", "json_schema") else ("text" if kind == "text" else None)
