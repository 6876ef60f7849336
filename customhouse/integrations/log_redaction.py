"""What of an error or a message may stand in a log: no credentials, and nothing of requests and answers."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator

REDACTED = "[redacted]"

LONGEST_TEXT = 8_192
"""Characters of one message; what is longer is most likely content, and slows every reader."""

DEEPEST_STACK = 40
"""Frames kept, the innermost ones."""

_SEPARATOR = r"""['"\s]*[:=,]\s*(?:b?['"])?"""

_SECRETS: tuple[tuple[re.Pattern[str], str], ...] = (
    # Headers, as clients show them: `Authorization: Bearer x`, `{'authorization': 'x'}`, `(b'X-Api-Key', b'x')`.
    (
        re.compile(
            r"\b((?:proxy-)?authorization|x-api-key|api[-_]?key|(?:set-)?cookie|x-goog-api-key)"
            rf"({_SEPARATOR})(?:(?:bearer|basic)\s+)?[^\s'\",;)}}]+",
            re.IGNORECASE,
        ),
        rf"\1\2{REDACTED}",
    ),
    (re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1 {REDACTED}"),
    # Keys by their issuers' prefixes: OpenAI's and Anthropic's, ours, Slack's, GitHub's, AWS's.
    (re.compile(r"\b(?:sk|ck|pk|rk|xox[a-z]|gh[a-z])[-_][A-Za-z0-9_-]{16,}"), REDACTED),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), REDACTED),
    # User and password in a URL, and secrets in its query.
    (re.compile(r"://[^/\s@'\"]+@"), f"://{REDACTED}@"),
    (re.compile(r"([?&](?:key|token|access_token|sig|signature)=)[^&\s'\"]+", re.IGNORECASE), rf"\1{REDACTED}"),
)


def scrub(text: str) -> str:
    """The text without credentials, and cut where it is very long."""
    if len(text) > LONGEST_TEXT:
        text = f"{text[:LONGEST_TEXT]}… ({len(text) - LONGEST_TEXT} more characters)"
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def safe_message(error: BaseException) -> str:
    """What the error says, without the values that validators and databases quote into their messages."""
    library = type(error).__module__.partition(".")[0]
    if library in ("pydantic", "pydantic_core"):
        return _validation_message(error)
    if library == "sqlalchemy":
        # Its text has the statement's parameters: prompts and answers among them.
        original = getattr(error, "orig", None)
        return _class_name(error) if original is None else f"{_class_name(original)}: {safe_message(original)}"
    if library == "psycopg":
        # The primary message; DETAIL quotes whole rows.
        primary = getattr(getattr(error, "diag", None), "message_primary", None)
        state = getattr(error, "sqlstate", None)
        return scrub(f"{state}: {primary}") if primary else scrub(str(error).partition("\n")[0])
    return scrub(str(error))


def stack_of(error: BaseException) -> str:
    """Like a traceback, causes first, with `safe_message` for each error's own text."""
    return "\n".join(part for link in reversed(list(_chain(error))) for part in _render(link))


def _render(error: BaseException) -> Iterator[str]:
    for frame in traceback.extract_tb(error.__traceback__)[-DEEPEST_STACK:]:
        yield f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}'
    yield f"{_class_name(error)}: {safe_message(error)}"
    if isinstance(error, BaseExceptionGroup):
        for number, inner in enumerate(error.exceptions, start=1):
            yield f"  {number}. {_class_name(inner)}: {safe_message(inner)}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _validation_message(error: BaseException) -> str:
    errors = getattr(error, "errors", None)
    if errors is None:
        return _class_name(error)
    found = errors(include_url=False, include_context=False, include_input=False)
    # The kind and not the text: the text of a custom error may quote the value.
    return "; ".join(f"{'.'.join(str(part) for part in item['loc']) or 'value'}: {item['type']}" for item in found)


def _class_name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
