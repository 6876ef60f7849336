"""The error for what Anthropic's Messages API cannot do."""

from __future__ import annotations

from customhouse.contracts.errors import FailureKind, ProviderError


def unsupported(param: str, why: str) -> ProviderError:
    """Terminal: the request stays what it is. `param` is the path of the field."""
    return ProviderError(
        f"Anthropic's Messages API cannot take {param} as it was given: {why}.",
        kind=FailureKind.TERMINAL,
        provider_code="unsupported_parameter",
        param=param,
    )
