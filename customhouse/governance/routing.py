"""The route: which deployments may answer this invocation, in which order, and why the others may not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from customhouse.contracts.catalog import Capability, Catalog, Deployment
from customhouse.contracts.chat import ChatRequest
from customhouse.contracts.errors import NoLawfulRoute, UnknownModel
from customhouse.contracts.invocation import Caller, LeftOut, RouteStep
from customhouse.governance.lanes import choose_lane, explain_lane
from customhouse.governance.tokens import estimate_prompt_tokens

PROMPT_TOLERANCE = 0.75
"""A prompt's tokens are estimated, up to a third too high: a deployment is left out only where even this part of the
estimate does not fit. In between the provider itself decides, and its refusal moves on to the next deployment."""

_IMAGE_TYPES = frozenset({"image_url", "image", "input_image"})


@dataclass(frozen=True, slots=True)
class RouteFacts:
    """What routing needs to know of a request."""

    model: str
    region: str | None
    needs: frozenset[Capability]
    prompt_tokens: int
    """Estimated."""
    max_tokens: int | None
    """Asked for; None where the caller leaves it to the model."""


@dataclass(frozen=True, slots=True)
class Route:
    """Deployments in the order of their use, and those of the same model that may not be used."""

    steps: list[RouteStep] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def facts_of(request: ChatRequest, caller: Caller, prompt_tokens: int | None = None) -> RouteFacts:
    """Read the facts off a request. `prompt_tokens` spares the estimate where it is known already."""
    needs: set[Capability] = set()
    if request.stream:
        needs.add(Capability.STREAMING)
    if request.tools:
        needs.add(Capability.TOOLS)
    if (request.response_format or {}).get("type") == "json_schema":
        needs.add(Capability.JSON_SCHEMA)
    for message in request.messages:
        if message.tool_calls or message.role == "tool":
            needs.add(Capability.TOOLS)
        if isinstance(message.content, list) and any(part.type in _IMAGE_TYPES for part in message.content):
            needs.add(Capability.IMAGES)
    return RouteFacts(
        model=request.model,
        region=caller.region,
        needs=frozenset(needs),
        prompt_tokens=estimate_prompt_tokens(request) if prompt_tokens is None else prompt_tokens,
        max_tokens=request.max_completion_tokens or request.max_tokens,
    )


def route(facts: RouteFacts, catalog: Catalog, p95s: Mapping[str, float | None]) -> Route:
    """The route by the law first, then capability, then room, in the catalog's order.

    `p95s` holds recent call times in seconds by deployment id. Raises UnknownModel where no deployment serves the
    model, and NoLawfulRoute, with each deployment's reason, where none of them may.
    """
    surveyed = survey(facts, catalog, p95s)
    if not surveyed.steps:
        raise no_lawful_route(facts, surveyed)
    return surveyed


def survey(facts: RouteFacts, catalog: Catalog, p95s: Mapping[str, float | None]) -> Route:
    """As `route`, but a route without any deployment is returned, so that its reasons can be recorded."""
    found = Route()
    candidates = [deployment for deployment in catalog.deployments if deployment.model == facts.model]
    if not candidates:
        raise UnknownModel(
            f"The model {facts.model!r} is not in the catalog. Ask for one of: {', '.join(catalog.models) or 'none'}.",
            param="model",
        )
    for deployment in candidates:
        deployment_id = deployment.id
        if reason := _why_not(deployment, facts):
            found.left_out.append(LeftOut(deployment_id=deployment_id, reason=reason))
            continue
        p95_s = p95s.get(deployment_id)
        found.steps.append(
            RouteStep(
                deployment_id=deployment_id,
                model=deployment.model,
                provider=deployment.provider,
                region=deployment.region,
                lane=choose_lane(deployment, p95_s),
                task_queue=deployment.task_queue,
                timeout_s=catalog.provider(deployment.provider).timeout_s,
                reason=f"{_why_lawful(facts)}; {explain_lane(deployment, p95_s)}",
            )
        )
    return found


def no_lawful_route(facts: RouteFacts, surveyed: Route) -> NoLawfulRoute:
    """The error for a survey without any step."""
    reasons = "; ".join(f"{out.deployment_id}: {out.reason}" for out in surveyed.left_out)
    return NoLawfulRoute(
        f"No deployment of {facts.model!r} may answer this request ({reasons}). "
        "Change the request, or ask for another region or model.",
        param="model",
    )


def _why_lawful(facts: RouteFacts) -> str:
    return f"region {facts.region}, as asked" if facts.region is not None else "no region asked"


def _why_not(deployment: Deployment, facts: RouteFacts) -> str | None:
    """Why this deployment may not answer; None where it may."""
    if facts.region is not None and deployment.region != facts.region:
        return f"its region is {deployment.region}, and the caller asks for {facts.region}"
    if missing := facts.needs - deployment.capabilities:
        return f"it lacks {', '.join(sorted(missing))}"
    limit = deployment.max_output_tokens
    if facts.max_tokens is not None and limit is not None and facts.max_tokens > limit:
        return f"it writes at most {limit} tokens, and {facts.max_tokens} are asked for"
    least = int(facts.prompt_tokens * PROMPT_TOLERANCE) + (facts.max_tokens or 0)
    if least > deployment.context_window:
        return (
            f"about {facts.prompt_tokens} prompt tokens and {facts.max_tokens or 0} for the answer do not fit "
            f"its context window of {deployment.context_window}"
        )
    return None
